"""What alarms and scaling of an endpoint bring along beside the called action.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html,
https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.check.needs.need import Need
from pipeline.check.states import Integration, State

_SCALING = {
    "registerScalableTarget": (
        "iam:CreateServiceLinkedRole",
        "sagemaker:DescribeEndpoint",
        "sagemaker:DescribeEndpointConfig",
        "sagemaker:UpdateEndpointWeightsAndCapacities",
    ),
    "putScalingPolicy": (
        "cloudwatch:DeleteAlarms",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:PutMetricAlarm",
    ),
}


def rolls_back(call: Integration, arguments: dict[str, Any]) -> bool:
    """Whether a Task updates an endpoint under alarms."""
    config = arguments.get("DeploymentConfig")
    return (
        call.operation == "UpdateEndpoint"
        and isinstance(config, dict)
        and bool(config.get("AutoRollbackConfiguration"))
    )


def of_call(task: State, call: Integration, arguments: dict[str, Any]) -> Iterator[Need]:
    """What the caller of a Task needs besides."""
    if rolls_back(call, arguments):
        yield Need("cloudwatch:DescribeAlarms", "*", f"{task.name} is watched by alarms", task.path)
    if call.operation == "PutMetricAlarm" and ("Tags" in arguments or "Tags.$" in arguments):
        yield Need("cloudwatch:TagResource", "*", f"{task.name} tags what it makes", task.path)
    if call.service == "applicationautoscaling":
        for action in _SCALING.get(call.action, ()):
            yield Need(action, "*", f"{task.name} acts through Application Auto Scaling", task.path)
