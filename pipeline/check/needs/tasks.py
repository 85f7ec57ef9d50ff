"""What a state machine's role needs: what its Tasks call, and what Step Functions does for them.

A `.sync` job brings along the managed events rule, its tag, its description and its stop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.check import api
from pipeline.check.cloudformation import logical_role
from pipeline.check.needs import hosting
from pipeline.check.needs.need import Need
from pipeline.check.needs.reference import arn_forms, dependent_actions, iam_actions
from pipeline.check.states import Integration, State, integration, tasks
from pipeline.check.subject import Subject

# What a `.sync` job adds, besides tagging: describing and stopping it, and the rule that reports its end.
# https://docs.aws.amazon.com/step-functions/latest/dg/sagemaker-iam.html, …/glue-iam.html,
# …/codebuild-iam.html, …/stepfunctions-iam.html
_SYNC: dict[tuple[str, str], tuple[tuple[str, ...], str]] = {
    ("sagemaker", "createTrainingJob"): (
        ("sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"),
        "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
    ),
    ("sagemaker", "createProcessingJob"): (
        ("sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob"),
        "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
    ),
    ("sagemaker", "createTransformJob"): (
        ("sagemaker:DescribeTransformJob", "sagemaker:StopTransformJob"),
        "StepFunctionsGetEventsForSageMakerTransformJobsRule",
    ),
    ("sagemaker", "createHyperParameterTuningJob"): (
        ("sagemaker:DescribeHyperParameterTuningJob", "sagemaker:StopHyperParameterTuningJob"),
        "StepFunctionsGetEventsForSageMakerTuningJobsRule",
    ),
    ("glue", "startJobRun"): (("glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"), ""),
    ("codebuild", "startBuild"): (
        ("codebuild:StopBuild", "codebuild:BatchGetBuilds"),
        "StepFunctionsGetEventForCodeBuildStartBuildRule",
    ),
    ("states", "startExecution"): (
        ("states:DescribeExecution", "states:StopExecution"),
        "StepFunctionsGetEventsForStepFunctionsExecutionRule",
    ),
}
_RULE_ACTIONS = ("events:PutTargets", "events:PutRule", "events:DescribeRule")

# Log delivery knows no resource, so all are on *: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
LOG_DELIVERY = (
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
)
# https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html
TRACING = (
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
)

_ROLE_PARAMETERS = ("RoleArn", "ExecutionRoleArn", "Role", "ServiceRole")


def of_machine(subject: Subject, machine: dict[str, Any]) -> Iterator[Need]:
    for task in tasks(subject.asl):
        yield from of_task(subject, task)
    logging = machine.get("LoggingConfiguration") or {}
    if logging.get("Level", "OFF") != "OFF":
        for action in LOG_DELIVERY:
            yield Need(action, "*", "the state machine writes logs")
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            yield Need(action, "*", "the state machine writes logs", optional=True)
    if (machine.get("TracingConfiguration") or {}).get("Enabled") is True:
        for action in TRACING:
            yield Need(action, "*", "the state machine is traced")
    if machine.get("EncryptionConfiguration"):
        for action in ("kms:Decrypt", "kms:GenerateDataKey"):
            yield Need(action, "*", "the state machine's data is encrypted with a key of its own")


def of_task(subject: Subject, task: State) -> Iterator[Need]:
    """What the state machine's role needs for one Task."""
    call = integration(task.body)
    if call is None:
        resource = task.body.get("Resource")
        if isinstance(resource, str) and ":function:" in subject.text(resource):
            yield Need("lambda:InvokeFunction", subject.text(resource), f"{task.name} invokes it", task.path)
        return
    service = api.model(call.service)
    if service is None or call.operation not in service.operation_names:
        return  # ML002 tells
    arguments = task.arguments if isinstance(task.arguments, dict) else {}
    why = f"{task.name} calls {call.service}:{call.action}"
    targets: list[str] = []
    for action in iam_actions(service.service_name, service.signing_name, call.operation):
        for target in _targets(subject, action, arguments):
            targets.append(target)
            yield Need(action, target, why, task.path)
    yield from _dependent(subject, task, call, arguments, targets)
    yield from hosting.of_call(task, call, arguments)
    if call.pattern.startswith("sync"):
        yield from _of_sync(subject, task, call, targets)


def _of_sync(subject: Subject, task: State, call: Integration, targets: list[str]) -> Iterator[Need]:
    actions, rule = _SYNC.get((call.service, call.action), ((), ""))
    for action in actions:
        # A child execution's ARN is not its machine's.
        for target in ["*"] if call.service == "states" else targets:
            yield Need(action, target, f"{task.name} waits for its job (.sync) and stops it", task.path)
    if rule:
        arn = f"arn:aws:events:{subject.region}:{subject.account}:rule/{rule}"
        for action in _RULE_ACTIONS:
            yield Need(
                action, arn, f"{task.name} waits for its job (.sync) through a managed rule", task.path
            )
    if call.service == "sagemaker":
        # Allowed by AWS's own template, without which the job runs all the same.
        yield Need(
            "sagemaker:ListTags", "*", f"{task.name} waits for its job (.sync)", task.path, optional=True
        )


def _dependent(
    subject: Subject, task: State, call: Integration, arguments: dict[str, Any], targets: list[str]
) -> Iterator[Need]:
    """Actions that the called one brings along, when its parameters use what they are for."""
    for value in role_values(arguments):
        text = subject.text(value) if value is not None else "*"
        yield Need("iam:PassRole", text, f"{task.name} hands a role to {call.service}", task.path)
    prefix = api.model(call.service).signing_name
    tags = f"{prefix}:AddTags"
    brings_tags = tags in dependent_actions(f"{prefix}:{call.operation}")
    # Step Functions tags a .sync job to know it: https://github.com/aws/aws-cdk/issues/26012
    if brings_tags and ("Tags" in arguments or "Tags.$" in arguments or call.pattern.startswith("sync")):
        why = (
            "tags what it makes"
            if "Tags" in arguments or "Tags.$" in arguments
            else "is tagged by Step Functions"
        )
        for target in targets[:1] or ["*"]:
            yield Need(tags, target, f"{task.name} {why}", task.path)


def role_values(arguments: Any) -> Iterator[Any]:
    """Every role a call is given; None for one known only at run time."""
    if isinstance(arguments, dict):
        for key, value in arguments.items():
            if key.removesuffix(".$") in _ROLE_PARAMETERS and isinstance(value, str):
                yield None if key.endswith(".$") or value.startswith("{%") else value
            else:
                yield from role_values(value)
    elif isinstance(arguments, list):
        for value in arguments:
            yield from role_values(value)


def role_named(subject: Subject, value: Any) -> str:
    """The template's role behind `${Token}`."""
    token = re.fullmatch(r"\$\{([^}]+)\}", value or "")
    return logical_role(subject.substitutions.get(token[1]), subject.template) if token else ""


def _targets(subject: Subject, action: str, arguments: dict[str, Any]) -> list[str]:
    """ARNs the action is called on: those forms of its ARN whose parts the parameters name; else *."""
    found = []
    for form in arn_forms(action):
        names = [n for n in re.findall(r"\$\{(\w+)\}", form) if n not in ("Partition", "Region", "Account")]
        values = {name: _argument(subject, arguments, name) for name in names}
        if not names or any(value is None for value in values.values()):
            continue
        arns = [value for value in values.values() if value and value.startswith("arn:")]
        if arns:
            found.append(arns[0])
            continue
        known = {"Partition": "aws", "Region": subject.region, "Account": subject.account, **values}
        for name, value in known.items():
            form = form.replace("${" + name + "}", str(value))
        found.append(form)
    return found or ["*"]


# ARN variable -> parameter, where they differ.
_ALIASES = {
    "ParameterNameWithoutLeadingSlash": "Name",
    "TopicName": "TopicArn",
    "StateMachineName": "StateMachineArn",
    "BucketName": "Bucket",
    "ObjectName": "Key",
    "QueueName": "QueueUrl",
}


def _argument(subject: Subject, arguments: dict[str, Any], name: str) -> str | None:
    """The value of a parameter as a glob; None when it is not given."""
    for key in (name, _ALIASES.get(name, name)):
        if isinstance(arguments.get(key), str):
            value = arguments[key]
            return "*" if value.startswith("{%") else subject.text(value).removeprefix("/")
        dynamic = arguments.get(f"{key}.$")
        if isinstance(dynamic, str):
            return glob(subject.text(dynamic))
    return None


def glob(expression: str) -> str:
    """`States.Format('iris-{}', $.x)` -> `iris-*`; any other expression -> `*`."""
    match = re.match(r"States\.Format\('([^']*)'", expression)
    return match[1].replace("{}", "*") if match else "*"
