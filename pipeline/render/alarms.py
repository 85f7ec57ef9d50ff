"""The template's alarms: an execution that fails, times out or is aborted is told, even when Slack is not."""

from __future__ import annotations

from pipeline.render.context import Context, Resource, ref

METRICS = ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")
PERIOD_SECONDS = 300


def resources(context: Context) -> dict[str, Resource]:
    names = context.names
    alarm_arn = names.arn("cloudwatch", f"alarm:{names.stack}-*")
    found: dict[str, Resource] = {
        "AlarmTopic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {
                "TopicName": f"{names.stack}-alarms",
                # The account's own key: CloudWatch may not use alias/aws/sns.
                "KmsMasterKeyId": names.alarm_key_alias,
                "Tags": context.tags,
            },
        },
        "AlarmTopicPolicy": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {
                "Topics": [ref("AlarmTopic")],
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "AlarmsPublish",
                            "Effect": "Allow",
                            "Principal": {"Service": "cloudwatch.amazonaws.com"},
                            "Action": "sns:Publish",
                            "Resource": ref("AlarmTopic"),
                            "Condition": {
                                "ArnLike": {"aws:SourceArn": alarm_arn},
                                "StringEquals": {"aws:SourceAccount": names.account},
                            },
                        }
                    ],
                },
            },
        },
    }
    email = context.settings.environment.notification.alarm_email
    if email:
        found["AlarmEmail"] = {
            "Type": "AWS::SNS::Subscription",
            "Properties": {"TopicArn": ref("AlarmTopic"), "Protocol": "email", "Endpoint": email},
        }
    for metric in METRICS:
        found[f"{metric}Alarm"] = {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": f"{names.stack}-{metric}",
                "AlarmDescription": f"{metric} of the state machine {names.stack}",
                "Namespace": "AWS/States",
                "MetricName": metric,
                "Dimensions": [{"Name": "StateMachineArn", "Value": ref("StateMachine")}],
                "Statistic": "Sum",
                "Period": PERIOD_SECONDS,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "notBreaching",
                "AlarmActions": [ref("AlarmTopic")],
                "Tags": context.tags,
            },
        }
    return found
