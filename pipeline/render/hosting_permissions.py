"""Least privilege of what watches and scales an endpoint: CloudWatch's alarms, Application Auto Scaling.

What scaling needs of its caller: https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html
and https://docs.aws.amazon.com/autoscaling/application/userguide/security_iam_id-based-policy-examples.html;
what an automatic rollback needs: https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
"""

from __future__ import annotations

from typing import Any

from pipeline.names import Names
from pipeline.render.statement import Statement, allow
from pipeline.render.tasks import Call, pattern_of

SCALING_SERVICE = "sagemaker.application-autoscaling.amazonaws.com"
SCALING_ROLE = (
    f"role/aws-service-role/{SCALING_SERVICE}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_LISTINGS = ("DescribeScalableTargets", "DescribeScalingPolicies", "DescribeScalingActivities")
_CHANGES = ("RegisterScalableTarget", "DeregisterScalableTarget", "PutScalingPolicy", "DeleteScalingPolicy")


def alarms(called: Call, parameters: dict[str, Any], names: Names) -> list[Statement]:
    """CloudWatch: alarms whose names begin with the stack's."""
    if called.operation == "PutMetricAlarm":
        arn = _alarm(names, pattern_of(parameters, "AlarmName", f"{names.stack}-*"))
        # Tags at creation are weighed as TagResource, too.
        return [allow(["cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"], arn)]
    if called.operation == "DescribeAlarms":
        return [_reading(names)]
    if called.operation == "DeleteAlarms":
        return [allow("cloudwatch:DeleteAlarms", _alarm(names, f"{names.stack}-*"))]
    return []


def rollback(parameters: dict[str, Any], names: Names) -> list[Statement]:
    """UpdateEndpoint with alarms that take it back: its caller must be allowed to read them."""
    config = parameters.get("DeploymentConfig", {})
    watched = config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    return [_reading(names)] if watched else []


def scaling(called: Call, parameters: dict[str, Any], names: Names) -> list[Statement]:
    """Application Auto Scaling of this stack's endpoint."""
    if called.operation in _LISTINGS:
        return [allow(f"application-autoscaling:{called.operation}", "*")]
    if called.operation not in _CHANGES:
        return []
    # A target's ARN ends in an id that AWS chooses, and there is none yet when it is registered.
    only = {
        "StringEquals": {
            "application-autoscaling:service-namespace": "sagemaker",
            "application-autoscaling:scalable-dimension": str(parameters.get("ScalableDimension", DIMENSION)),
        }
    }
    targets = names.arn("application-autoscaling", "scalable-target/*")
    statements = [allow(f"application-autoscaling:{called.operation}", targets, only)]
    endpoint = names.arn("sagemaker", f"endpoint/{names.stack}")
    if called.operation == "RegisterScalableTarget":
        statements += [
            allow(["sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities"], endpoint),
            allow(
                "sagemaker:DescribeEndpointConfig", names.arn("sagemaker", f"endpoint-config/{names.stack}-*")
            ),
            allow(
                "iam:CreateServiceLinkedRole",
                names.arn("iam", SCALING_ROLE, region=""),
                {"StringLike": {"iam:AWSServiceName": SCALING_SERVICE}},
            ),
        ]
    if called.operation == "PutScalingPolicy":
        # Alarms that AWS makes of a target tracking policy.
        tracking = _alarm(names, f"TargetTracking-endpoint/{names.stack}/*")
        statements.append(allow(["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"], tracking))
        statements.append(_reading(names))
    return statements


def _reading(names: Names) -> Statement:
    """Reading alarms is weighed on all of the account's, whatever is asked for."""
    return allow("cloudwatch:DescribeAlarms", _alarm(names, "*"))


def _alarm(names: Names, name: str) -> str:
    return names.arn("cloudwatch", f"alarm:{name}")
