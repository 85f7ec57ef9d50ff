"""What Task states call: one file a service. A new service is a new file and one line in `_by_service`."""

from __future__ import annotations

from pipeline.local.states.errors import Fault
from pipeline.local.states.integrations import (
    activity,
    aws_sdk,
    codebuild,
    glue,
    lambda_,
    nested,
    sagemaker,
    services,
)
from pipeline.local.states.integrations.base import Integration
from pipeline.local.states.taskcall import Resource

_by_service: dict[str, Integration] = {
    "codebuild": codebuild.CODEBUILD,
    "glue": glue.GLUE,
    "lambda": lambda_.INVOKE,
    "sagemaker": sagemaker.SAGEMAKER,
    "states": nested.STATES,
    "dynamodb": services.DYNAMODB,
    "events": services.EVENTS,
    "sns": services.SNS,
    "sqs": services.SQS,
}


def find(resource: Resource) -> Integration:
    """The integration behind a Resource; a Fault (States.Runtime) when there is none."""
    found: Integration | None = None
    if resource.service.startswith("aws-sdk:"):
        found = aws_sdk.AWS_SDK
    elif resource.service:
        found = _by_service.get(resource.service)
    elif ":function:" in resource.arn:
        found = lambda_.FUNCTION
    elif ":activity:" in resource.arn:
        found = activity.ACTIVITY
    if found is None or not found.supports(resource):
        raise Fault(unrecognised(resource.arn))
    return found


def known(resource: Resource) -> bool:
    """Whether a Task with this Resource can run here; asked when a state machine is created."""
    try:
        find(resource)
    except Fault:
        return False
    return True


def managed_rule(resource: Resource) -> str:
    """The EventBridge rule that Step Functions manages for a .sync Task; "" where there is none."""
    return find(resource).managed_rule(resource)


def unrecognised(arn: str) -> str:
    """AWS's words for a Resource it does not know."""
    return (
        f"The resource provided {arn} is not recognized. The value is not a valid resource ARN, "
        "or the resource is not available in this region."
    )
