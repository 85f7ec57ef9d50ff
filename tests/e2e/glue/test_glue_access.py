"""Who may do what with Glue, jobs as part of stacks, and who is told of a run's end. No Spark is started."""

from __future__ import annotations

import json
import re
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from .conftest import ACCOUNT, BUCKET, REGION, Runs

JOB = f"arn:aws:glue:{REGION}:{ACCOUNT}:job"


def acting(runs: Runs, name: str, *statements: dict[str, Any]) -> boto3.Session:
    """A session of a new role that may do what the statements say."""
    iam = runs.client("iam")
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
    }
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"][
        "Arn"
    ]
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
    given = runs.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    return boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], REGION)


def allow(*actions: str, on: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on}


def test_a_caller_may_do_what_its_policies_say(runs: Runs) -> None:
    mine = acting(runs, "operator", allow("glue:StartJobRun", "glue:CreateJob", on=f"{JOB}/job*"))
    glue = mine.client("glue", endpoint_url=runs.up.endpoint_url)
    assert glue.start_job_run(JobName="job")["JobRunId"].startswith("jr_")
    command = {"Name": "glueetl", "ScriptLocation": f"s3://{BUCKET}/k.py"}
    for call, denied in (
        (lambda: glue.get_job(JobName="job"), f"glue:GetJob on resource: {JOB}/job"),
        (lambda: glue.list_jobs(), "glue:ListJobs on resource: *"),
        (lambda: glue.start_job_run(JobName="other"), f"glue:StartJobRun on resource: {JOB}/other"),
        (
            lambda: glue.create_job(Name="job-2", Role="glue-role", Command=command),
            f"iam:PassRole on resource: arn:aws:iam::{ACCOUNT}:role/glue-role",
        ),
    ):
        with pytest.raises(ClientError, match=re.escape(f"is not authorized to perform: {denied}")):
            call()


def test_tags_open_and_close_a_job(runs: Runs) -> None:
    may = {**allow("glue:GetJob"), "Condition": {"StringEquals": {"aws:ResourceTag/team": "ml"}}}
    glue = acting(runs, "by-tag", may).client("glue", endpoint_url=runs.up.endpoint_url)
    with pytest.raises(ClientError, match="not authorized to perform: glue:GetJob"):
        glue.get_job(JobName="job")
    runs.client("glue").tag_resource(ResourceArn=f"{JOB}/job", TagsToAdd={"team": "ml"})
    assert glue.get_job(JobName="job")["Job"]["Name"] == "job"


def template(**more: Any) -> str:
    properties = {
        "Name": "in-stack",
        "Role": "glue-role",
        "GlueVersion": "5.1",
        "WorkerType": "G.1X",
        "NumberOfWorkers": 2,
        "Command": {"Name": "glueetl", "ScriptLocation": f"s3://{BUCKET}/k.py"},
        "Tags": {"a": "b"},
        **more,
    }
    resources = {"Job": {"Type": "AWS::Glue::Job", "Properties": properties}}
    return json.dumps({"Resources": resources, "Outputs": {"Name": {"Value": {"Ref": "Job"}}}})


def settled(runs: Runs, name: str) -> dict[str, Any]:
    client = runs.client("cloudformation")

    def over() -> dict[str, Any] | None:
        (stack,) = client.describe_stacks(StackName=name)["Stacks"]
        return None if stack["StackStatus"].endswith("IN_PROGRESS") else dict(stack)

    found: dict[str, Any] = runs.until(over, 30)
    return found


def test_a_job_in_a_stack(runs: Runs) -> None:
    client, glue = runs.client("cloudformation"), runs.client("glue")
    client.create_stack(StackName="jobs", TemplateBody=template())
    stack = settled(runs, "jobs")
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    assert stack["Outputs"][0]["OutputValue"] == "in-stack"
    client.create_change_set(
        StackName="jobs", ChangeSetName="c", TemplateBody=template(Name="renamed"), ChangeSetType="UPDATE"
    )

    def changes() -> list[dict[str, Any]]:
        found = client.describe_change_set(StackName="jobs", ChangeSetName="c")
        return list(found["Changes"])

    (change,) = runs.until(changes)
    assert change["ResourceChange"]["Replacement"] == "True"
    client.update_stack(StackName="jobs", TemplateBody=template(Timeout=9, Tags={"a": "c"}))
    assert settled(runs, "jobs")["StackStatus"] == "UPDATE_COMPLETE"
    assert glue.get_job(JobName="in-stack")["Job"]["Timeout"] == 9
    assert glue.get_tags(ResourceArn=f"{JOB}/in-stack")["Tags"] == {"a": "c"}
    # What cannot be leaves the job as it was.
    client.update_stack(StackName="jobs", TemplateBody=template(Timeout=10, MaxRetries=99))
    stack = settled(runs, "jobs")
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE", stack
    assert glue.get_job(JobName="in-stack")["Job"]["Timeout"] == 9
    client.delete_stack(StackName="jobs")
    runs.until(lambda: "in-stack" not in glue.list_jobs()["JobNames"])


def test_a_stack_is_changed_with_the_rights_of_who_changes_it(runs: Runs) -> None:
    mine = acting(runs, "deployer", allow("cloudformation:*", "glue:GetJob", "glue:TagResource"))
    mine.client("cloudformation", endpoint_url=runs.up.endpoint_url).create_stack(
        StackName="denied", TemplateBody=template(Name="denied")
    )
    assert settled(runs, "denied")["StackStatus"] == "ROLLBACK_COMPLETE"
    events = runs.client("cloudformation").describe_stack_events(StackName="denied")["StackEvents"]
    reasons = " ".join(event.get("ResourceStatusReason", "") for event in events)
    assert f"not authorized to perform: glue:CreateJob on resource: {JOB}/denied" in reasons


def test_a_rule_hears_of_a_run_s_end(runs: Runs) -> None:
    sqs, events = runs.client("sqs"), runs.client("events")
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.glue"],
        "detail-type": ["Glue Job State Change"],
        "detail": {"state": ["FAILED"]},
    }
    events.put_rule(Name="glue", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="glue", Targets=[{"Id": "q", "Arn": arn}])
    run = runs.start("none")
    ended = runs.ended(run)
    assert ended["JobRunState"] == "FAILED"
    (message,) = runs.until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    told = json.loads(message["Body"])
    assert (told["detail"]["jobRunId"], told["detail"]["message"]) == (run, ended["ErrorMessage"])
    assert (told["account"], told["region"]) == (ACCOUNT, REGION)
