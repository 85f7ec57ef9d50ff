"""Which IAM actions each role of a template needs, from what uses it.

A state machine's role needs what its Tasks call, and what Step Functions does for them: the managed events
rule of a `.sync` job, its tag, its description and its stop. A function's role needs what its source calls
through boto3. Sources stand beside each table.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.check import api
from pipeline.check.cloudformation import as_list, logical_role, of_type
from pipeline.check.rule import Path
from pipeline.check.states import Integration, State, integration, tasks
from pipeline.check.subject import Subject


@dataclass(frozen=True)
class Need:
    """One action on one resource (glob; * when only known at run time), why, and the place that causes it.

    An optional need may be granted and need not be.
    """

    action: str
    resource: str
    why: str
    path: Path = ()
    optional: bool = False


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
# What a SageMaker job or endpoint may do with its execution role:
# https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
SAGEMAKER_ROLE = (
    "cloudwatch:PutMetricData",
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
    "s3:AbortMultipartUpload",
    "s3:GetBucketLocation",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
)
# "If a checkpoint is deleted in the container, it is also deleted in S3":
# https://docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html
CHECKPOINTS = ("s3:DeleteObject",)
# API operations whose IAM action has another name:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html and
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
_RENAMED = {
    ("s3", "ListObjects"): ("s3:ListBucket",),
    ("s3", "ListObjectsV2"): ("s3:ListBucket",),
    ("s3", "HeadBucket"): ("s3:ListBucket",),
    ("s3", "HeadObject"): ("s3:GetObject",),
    ("s3", "CopyObject"): ("s3:GetObject", "s3:PutObject"),
    ("s3", "DeleteObjects"): ("s3:DeleteObject",),
    ("s3", "CreateMultipartUpload"): ("s3:PutObject",),
    ("s3", "UploadPart"): ("s3:PutObject",),
    ("s3", "CompleteMultipartUpload"): ("s3:PutObject",),
    ("lambda", "Invoke"): ("lambda:InvokeFunction",),
}
# boto3's own transfer methods, which are no operations of the API.
_TRANSFERS = {
    "upload_file": "s3:PutObject",
    "upload_fileobj": "s3:PutObject",
    "download_file": "s3:GetObject",
    "download_fileobj": "s3:GetObject",
}
_ROLE_PARAMETERS = ("RoleArn", "ExecutionRoleArn", "Role", "ServiceRole")


def of_roles(subject: Subject) -> dict[str, list[Need]]:
    """Logical id of every role that something known uses -> what it needs."""
    found: dict[str, list[Need]] = {}
    _, machine = subject.machine
    role = logical_role(machine.get("RoleArn"), subject.template)
    if role:
        found.setdefault(role, []).extend(_of_machine(subject, machine))
    for name in passed_to_sagemaker(subject) - {role}:
        why = "a SageMaker job or endpoint runs with it"
        checkpoints = any("CheckpointConfig" in (t.arguments or {}) for t in tasks(subject.asl))
        actions = SAGEMAKER_ROLE + (CHECKPOINTS if checkpoints else ())
        found.setdefault(name, []).extend(Need(action, "*", why, optional=True) for action in actions)
    for name, properties in of_type(subject.template, "AWS::Lambda::Function"):
        role = logical_role(properties.get("Role"), subject.template)
        needs = list(_of_function(subject, name, properties))
        if role and needs:
            found.setdefault(role, []).extend(needs)
    for role, need in _of_triggers(subject):
        found.setdefault(role, []).append(need)
    return found


def _of_machine(subject: Subject, machine: dict[str, Any]) -> Iterator[Need]:
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
    for value in _role_values(arguments):
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


def _role_values(arguments: Any) -> Iterator[Any]:
    """Every role a call is given; None for one known only at run time."""
    if isinstance(arguments, dict):
        for key, value in arguments.items():
            if key.removesuffix(".$") in _ROLE_PARAMETERS and isinstance(value, str):
                yield None if key.endswith(".$") or value.startswith("{%") else value
            else:
                yield from _role_values(value)
    elif isinstance(arguments, list):
        for value in arguments:
            yield from _role_values(value)


def passed_to_sagemaker(subject: Subject) -> set[str]:
    """Roles of the template that a Task hands to SageMaker."""
    found = set()
    for task in tasks(subject.asl):
        call = integration(task.body)
        if call is not None and call.service == "sagemaker":
            found |= {_role_named(subject, value) for value in _role_values(task.arguments)}
    return found - {""}


def _role_named(subject: Subject, value: Any) -> str:
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
            return _glob(subject.text(dynamic))
    return None


def _glob(expression: str) -> str:
    """`States.Format('iris-{}', $.x)` -> `iris-*`; any other expression -> `*`."""
    match = re.match(r"States\.Format\('([^']*)'", expression)
    return match[1].replace("{}", "*") if match else "*"


def iam_actions(service: str, prefix: str, operation: str) -> tuple[str, ...]:
    """The IAM actions an API operation is authorised by."""
    return _RENAMED.get((service, operation), (f"{prefix}:{operation}",))


@functools.cache
def _action_data(action: str) -> list[dict[str, Any]]:
    from policy_sentry.querying.actions import get_action_data

    prefix, _, name = action.partition(":")
    found = get_action_data(prefix, name)
    return list(found.get(prefix, [])) if found else []


def arn_forms(action: str) -> list[str]:
    """ARN forms the action can be limited to; empty when AWS knows none."""
    return [d["resource_arn_format"] for d in _action_data(action) if d["resource_arn_format"] != "*"]


def known_action(action: str) -> bool:
    """Whether the IAM reference lists this action."""
    return bool(_action_data(action))


def dependent_actions(action: str) -> set[str]:
    """Actions the IAM reference says this one may need beside it."""
    return {dependent for data in _action_data(action) for dependent in data["dependent_actions"]}


def _of_function(subject: Subject, name: str, properties: dict[str, Any]) -> Iterator[Need]:
    key = subject.resolver.text((properties.get("Code") or {}).get("S3Key", ""))
    folder = subject.lambdas.get(key)
    sources = [
        t for f, t in subject.files.items() if folder and f.startswith(f"{folder}/") and f.endswith(".py")
    ]
    if not sources:
        return
    at: Path = ("Resources", name)
    for action, method in sorted(called_actions(sources).items()):
        yield Need(action, "*", f"{folder} calls {method}()", at)
        if action == "s3:GetObject":
            # Without it a missing object is AccessDenied, not NoSuchKey:
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
            yield Need("s3:ListBucket", "*", f"{folder} tells a missing object", at, optional=True)
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield Need(action, "*", f"function {name} writes its log", at)
    yield Need("logs:CreateLogGroup", "*", f"function {name} writes its log", at, optional=True)
    if (properties.get("TracingConfig") or {}).get("Mode") == "Active":
        for action in TRACING[:2]:
            yield Need(action, "*", f"function {name} is traced", at)
    if properties.get("DeadLetterConfig"):
        for action in ("sqs:SendMessage", "sns:Publish"):
            yield Need(action, "*", f"function {name} has a dead-letter target", at, optional=True)
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        yield Need(action, "*", "data may be encrypted with a key of its own", at, optional=True)


def called_actions(sources: list[str]) -> dict[str, str]:
    """IAM action -> the boto3 method that needs it, for everything the sources call."""
    services: set[str] = set()
    words: set[str] = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and node.args:
                function = node.func
                called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                first = node.args[0]
                if called in ("client", "resource") and isinstance(first, ast.Constant):
                    services.add(str(first.value))
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)  # get_paginator("list_objects_v2")
    found: dict[str, str] = {}
    for service in services:
        model = api.model(service)
        for method, operation in _methods(service).items() if model is not None else ():
            if method in words:
                for action in iam_actions(model.service_name, model.signing_name, operation):
                    found[action] = method
        if service == "s3":
            found |= {action: method for method, action in _TRANSFERS.items() if method in words}
    return found


@functools.cache
def _methods(service: str) -> dict[str, str]:
    from botocore import xform_name

    model = api.model(service)
    return {xform_name(operation): operation for operation in model.operation_names}


def _of_triggers(subject: Subject) -> Iterator[tuple[str, Need]]:
    """Roles with which a schedule or a rule starts its target."""
    targets: list[tuple[str, dict[str, Any]]] = []
    for name, properties in of_type(subject.template, "AWS::Scheduler::Schedule"):
        targets.append((name, properties.get("Target") or {}))
    for name, properties in of_type(subject.template, "AWS::Events::Rule"):
        targets += [
            (name, target) for target in as_list(properties.get("Targets")) if isinstance(target, dict)
        ]
    for name, target in targets:
        role = logical_role(target.get("RoleArn"), subject.template)
        arn = subject.resolver.text(target.get("Arn", ""))
        action = "states:StartExecution" if ":stateMachine:" in arn else "lambda:InvokeFunction"
        if role:
            yield role, Need(action, arn, f"{name} starts it", ("Resources", name))
            if target.get("DeadLetterConfig"):
                queue = subject.resolver.text((target["DeadLetterConfig"] or {}).get("Arn", "*"))
                yield (
                    role,
                    Need("sqs:SendMessage", queue, f"{name} has a dead-letter queue", ("Resources", name)),
                )
