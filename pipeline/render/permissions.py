"""Least privilege of the state machine: IAM statements derived from what its Tasks call.

What an integration needs besides its own action is in AWS's guide:
https://docs.aws.amazon.com/step-functions/latest/dg/sagemaker-iam.html, .../lambda-iam.html,
.../cw-logs.html#cloudwatch-iam-policy, .../xray-iam.html. A Task this file does not know is an error, not a
wildcard; a definition may then state its own statements as PERMISSIONS.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pipeline.errors import DefinitionError
from pipeline.names import Names
from pipeline.render import hosting_permissions
from pipeline.render.model import canonical
from pipeline.render.statement import Statement, allow
from pipeline.render.tasks import Call, call, pattern_of, tasks

__all__ = ["Statement", "allow", "derive", "merge", "observability", "role_reference"]

# sagemaker operation -> (ARN's resource type, field with the name)
_SAGEMAKER = {
    "CreateTrainingJob": ("training-job", "TrainingJobName"),
    "CreateProcessingJob": ("processing-job", "ProcessingJobName"),
    "CreateTransformJob": ("transform-job", "TransformJobName"),
    "CreateHyperParameterTuningJob": ("hyper-parameter-tuning-job", "HyperParameterTuningJobName"),
    "CreateModel": ("model", "ModelName"),
    "DeleteModel": ("model", "ModelName"),
    "CreateEndpointConfig": ("endpoint-config", "EndpointConfigName"),
    "CreateEndpoint": ("endpoint", "EndpointName"),
    "UpdateEndpoint": ("endpoint", "EndpointName"),
    "DescribeEndpoint": ("endpoint", "EndpointName"),
    "DescribeEndpointConfig": ("endpoint-config", "EndpointConfigName"),
    "DeleteEndpoint": ("endpoint", "EndpointName"),
    "DescribeTrainingJob": ("training-job", "TrainingJobName"),
    "DescribeProcessingJob": ("processing-job", "ProcessingJobName"),
}
# the rule in EventBridge by which `.sync` learns of the end; Step Functions makes it
_MANAGED_RULE = {
    "CreateTrainingJob": "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
    "CreateProcessingJob": "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
    "CreateTransformJob": "StepFunctionsGetEventsForSageMakerTransformJobsRule",
    "CreateHyperParameterTuningJob": "StepFunctionsGetEventsForSageMakerTuningJobsRule",
}


def derive(
    asl: dict[str, Any],
    names: Names,
    extra: list[Statement],
    place: Callable[[str], str] = lambda _: "",
) -> list[Statement]:
    """Statements for the state machine's role: its Tasks', those of `extra`, and logging and tracing.

    Args:
        place: file and line of a Task's Resource, where they are known.

    Raises:
        DefinitionError: a Task calls something whose permissions are not known here.
    """
    found: list[Statement] = []
    for state_name, state in tasks(asl):
        resource = str(state.get("Resource", ""))
        called = call(resource)
        rule = called and _RULES.get(called.service)
        parameters = state.get("Parameters", {})
        if ":function:" in resource:  # the older way to invoke: the function's ARN is the resource
            parameters = {"FunctionName": resource}
        statements = rule(called, parameters, names) if called and rule else []
        if not statements and not extra:
            raise DefinitionError(
                f"state {state_name} calls {state.get('Resource')}, whose permissions are not known",
                where=place(resource),
                hint=f"state them in pipeline/definitions/{names.pipeline}/definition.py: "
                'PERMISSIONS = [{"Effect": "Allow", "Action": [...], "Resource": [...]}]',
            )
        found += statements
    return merge([*found, *extra, *observability()])


def merge(statements: list[Statement]) -> list[Statement]:
    """One statement per set of actions and condition, with all its resources, sorted and named."""
    groups: dict[str, Statement] = {}
    for statement in statements:
        actions = sorted(set(_listed(statement["Action"])))
        condition = statement.get("Condition", {})
        group = groups.setdefault(
            canonical([statement["Effect"], actions, condition]),
            {**statement, "Action": actions, "Resource": []},
        )
        known = {canonical(resource) for resource in group["Resource"]}
        group["Resource"] += [r for r in _listed(statement["Resource"]) if canonical(r) not in known]
    for group in groups.values():
        group["Resource"].sort(key=canonical)
    merged = sorted(groups.values(), key=lambda s: canonical([s["Action"], s["Resource"]]))
    return _named(merged)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _named(statements: list[Statement]) -> list[Statement]:
    """Sids that say what a statement is for: `SagemakerCreateTrainingJob`."""
    seen: dict[str, int] = {}
    named = []
    for statement in statements:
        service, action = statement["Action"][0].split(":")
        sid = re.sub(r"\W", "", service.title() + action.replace("*", "All"))
        seen[sid] = seen.get(sid, 0) + 1
        named.append({"Sid": sid if seen[sid] == 1 else f"{sid}{seen[sid]}", **statement})
    return named


def _lambda(_: Call, parameters: dict[str, Any], names: Names) -> list[Statement]:
    function = str(parameters.get("FunctionName", ""))
    if not function:
        return []
    arn = function if function.startswith("arn:") else names.arn("lambda", f"function:{function}")
    return [allow("lambda:InvokeFunction", arn)]


def _sagemaker(called: Call, parameters: dict[str, Any], names: Names) -> list[Statement]:
    operation = called.operation
    if operation in ("CreateModelPackage", "UpdateModelPackage"):
        return [allow(f"sagemaker:{operation}", _packages(operation, parameters, names))]
    if operation not in _SAGEMAKER:
        return []
    kind, field = _SAGEMAKER[operation]
    arn = names.arn("sagemaker", f"{kind}/{pattern_of(parameters, field, f'{names.stack}-*')}".lower())
    resources = [arn]
    if operation == "DescribeTrainingJob" and names.tuning != names.stack:
        resources.append(names.arn("sagemaker", f"training-job/{names.tuning}-*").lower())
    if operation in ("CreateEndpoint", "UpdateEndpoint"):
        config = pattern_of(parameters, "EndpointConfigName", f"{names.stack}-*")
        resources.append(names.arn("sagemaker", f"endpoint-config/{config}".lower()))
    statements = [
        allow(f"sagemaker:{operation}", resources),
        *hosting_permissions.rollback(parameters, names),
    ]
    if parameters.get("Tags") or "Tags.$" in parameters:
        statements.append(allow("sagemaker:AddTags", arn))
    if called.pattern == "sync":
        job = operation.removeprefix("Create")
        statements += [
            allow([f"sagemaker:Describe{job}", f"sagemaker:Stop{job}"], arn),
            allow("sagemaker:ListTags", arn),
            allow(
                ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
                names.arn("events", f"rule/{_MANAGED_RULE[operation]}"),
            ),
        ]
    # A tuning job passes on the role of the training jobs that it launches.
    given = parameters.get("TrainingJobDefinition") or parameters
    role = given.get("RoleArn") or given.get("ExecutionRoleArn")
    if role:
        passed_to = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
        statements.append(allow("iam:PassRole", role_reference(str(role)), passed_to))
    return statements


def _packages(operation: str, parameters: dict[str, Any], names: Names) -> list[str]:
    group = pattern_of(parameters, "ModelPackageGroupName", names.stack).lower()
    arns = [names.arn("sagemaker", f"model-package/{group}/*")]
    if operation == "CreateModelPackage":
        arns.append(names.arn("sagemaker", f"model-package-group/{group}"))
    return arns


def _ssm(called: Call, parameters: dict[str, Any], names: Names) -> list[Statement]:
    name = str(parameters.get("Name", "")).removeprefix("/")
    if called.operation not in ("PutParameter", "GetParameter", "DeleteParameter") or not name:
        return []
    return [allow(f"ssm:{called.operation}", names.arn("ssm", f"parameter/{name}"))]


def _sns(called: Call, parameters: dict[str, Any], _: Names) -> list[Statement]:
    topic = parameters.get("TopicArn")
    return [allow("sns:Publish", str(topic))] if called.operation == "Publish" and topic else []


def _glue(called: Call, parameters: dict[str, Any], names: Names) -> list[Statement]:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-glue.html#glue-iam

    That page grants on `*`; Glue's service authorization reference has the job as the resource of all four.
    """
    if called.operation != "StartJobRun":
        return []
    actions = ["glue:StartJobRun"]
    if called.pattern == "sync":
        actions += ["glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"]
    return [allow(actions, names.arn("glue", f"job/{pattern_of(parameters, 'JobName', f'{names.stack}-*')}"))]


def _codebuild(called: Call, parameters: dict[str, Any], names: Names) -> list[Statement]:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-codebuild.html#codebuild-iam"""
    if called.operation != "StartBuild":
        return []
    project = names.arn("codebuild", f"project/{pattern_of(parameters, 'ProjectName', f'{names.stack}-*')}")
    if called.pattern != "sync":
        return [allow("codebuild:StartBuild", project)]
    rule = names.arn("events", "rule/StepFunctionsGetEventForCodeBuildStartBuildRule")
    return [
        allow(["codebuild:BatchGetBuilds", "codebuild:StartBuild", "codebuild:StopBuild"], project),
        allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], rule),
    ]


def _ecr(called: Call, parameters: dict[str, Any], names: Names) -> list[Statement]:
    if called.operation != "DescribeImages":
        return []
    repository = pattern_of(parameters, "RepositoryName", f"{names.project}/*")
    return [allow("ecr:DescribeImages", names.arn("ecr", f"repository/{repository}"))]


def _states(called: Call, parameters: dict[str, Any], _: Names) -> list[Statement]:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html#states-iam"""
    machine = str(parameters.get("StateMachineArn", ""))
    if called.operation != "StartExecution" or called.pattern or not machine:
        return []
    return [allow("states:StartExecution", machine)]


_RULES: dict[str, Callable[[Call, dict[str, Any], Names], list[Statement]]] = {
    "applicationautoscaling": hosting_permissions.scaling,
    "cloudwatch": hosting_permissions.alarms,
    "codebuild": _codebuild,
    "ecr": _ecr,
    "glue": _glue,
    "lambda": _lambda,
    "sagemaker": _sagemaker,
    "ssm": _ssm,
    "states": _states,
    "sns": _sns,
}


def role_reference(role: str) -> Any:
    """`${TrainingRoleArn}` of the state machine as the template's `Fn::GetAtt`; a written ARN as it is."""
    token = re.fullmatch(r"\$\{(\w+)Arn\}", role)
    return {"Fn::GetAtt": [token[1], "Arn"]} if token else role


def observability() -> list[Statement]:
    """Delivery of the execution log and of traces. IAM knows no resources for these actions."""
    return [
        allow(
            [
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:GetLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:UpdateLogDelivery",
            ],
            "*",
        ),
        allow(
            [
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ],
            "*",
        ),
    ]
