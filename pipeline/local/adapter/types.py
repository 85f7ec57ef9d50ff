"""Seam: CloudFormation's resource types. Ours are added; those of services not offered go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.local import states
from pipeline.local.adapter import account_types, callers
from pipeline.local.api.store import Store
from pipeline.local.codebuild import cloudformation as codebuild
from pipeline.local.codebuild.store import store as codebuild_records
from pipeline.local.glue import cloudformation as glue
from pipeline.local.glue.store import store as glue_records
from pipeline.local.roles import RoleNotAssumable, check
from pipeline.local.sagemaker import cloudformation as sagemaker
from pipeline.local.sagemaker.store import store as sagemaker_records

# `AWS::<this>::*`: the services of `registry.OFFERED`, by their name in CloudFormation.
OFFERED = frozenset(
    {
        "Budgets",
        "CloudFormation",
        "CloudWatch",
        "ECR",
        "Events",
        "IAM",
        "KMS",
        "Lambda",
        "Logs",
        "ResourceGroups",
        "S3",
        "SNS",
        "SQS",
        "SSM",
        "Scheduler",
        "SecretsManager",
        "StepFunctions",
    }
)

# Types whose provisioning blocks: they run on a thread of their own, so that they may call this server.
_BLOCKING: set[str] = set()


def install(provisioners: Any) -> None:
    """Put our types in place of and beside MiniStack's."""
    handlers: dict[str, dict[str, Callable]] = provisioners._RESOURCE_HANDLERS
    for name in [name for name in handlers if name.split("::")[1] not in OFFERED]:
        del handlers[name]
    for name, wrap in _WRAPPED.items():
        wrap(handlers[name])
    states.install_cloudformation(provisioners)
    handlers.update(account_types.handlers())
    for ours, records in (
        (codebuild.HANDLERS, codebuild_records),
        (glue.HANDLERS, glue_records),
        (sagemaker.HANDLERS, sagemaker_records),
    ):
        handlers.update({name: _undoable(handler, records) for name, handler in ours.items()})
        _BLOCKING.update(ours)
    callers.install(handlers)


def install_worker_threads(stacks: Any) -> None:
    """Run our types off the event loop."""
    theirs = stacks._runs_on_worker_thread
    stacks._runs_on_worker_thread = lambda name: name in _BLOCKING or theirs(name)


def _undoable(handler: dict[str, Any], records: Store[Any]) -> dict[str, Any]:
    """The handlers of a type whose records are written at once: a stack's unfinished change is taken back."""

    def within(function: Callable) -> Callable:
        def run(*arguments: Any) -> Any:
            with records.undoable():
                return function(*arguments)

        return run

    return {name: within(given) if callable(given) else given for name, given in handler.items()}


def _function(handler: dict[str, Callable]) -> None:
    """AWS::Lambda::Function: its code must be there, and its role must trust Lambda."""
    create, update = handler["create"], handler["update"]

    def checked(props: dict[str, Any]) -> None:
        from ministack.services import lambda_svc

        code = props.get("Code") or {}
        if code.get("S3Bucket"):
            bucket, key = code["S3Bucket"], code.get("S3Key", "")
            if lambda_svc._fetch_code_from_s3(bucket, key, version_id=code.get("S3ObjectVersion")) is None:
                raise ValueError(
                    "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The "
                    f"specified key does not exist. (s3://{bucket}/{key}; Service: Lambda, Status Code: 400)"
                )
        try:
            check(props.get("Role", ""), "lambda")
        except RoleNotAssumable as error:
            raise ValueError(
                "The role defined for the function cannot be assumed by Lambda. "
                f"({error.role_arn}: {error.why}; Service: Lambda, Status Code: 400)"
            ) from error

    def checked_create(logical_id: str, props: dict[str, Any], stack: str) -> Any:
        checked(props)
        return create(logical_id, props, stack)

    def checked_update(physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any) -> Any:
        checked(new)
        return update(physical_id, old, new, *rest)

    handler["create"], handler["update"] = checked_create, checked_update


def _state_machine(handler: dict[str, Callable]) -> None:
    """AWS::StepFunctions::StateMachine: MiniStack keeps logging misspelt, and no tracing."""
    create, update = handler["create"], handler["update"]

    def created(logical_id: str, props: dict[str, Any], stack: str) -> Any:
        answer = create(logical_id, _with_api_names(props), stack)
        _trace(answer[0], props)
        return answer

    def updated(physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any) -> Any:
        answer = update(physical_id, _with_api_names(old), _with_api_names(new), *rest)
        _trace(answer[0], new)
        return answer

    handler["create"], handler["update"] = created, updated


def _with_api_names(props: dict[str, Any]) -> dict[str, Any]:
    """The properties with LoggingConfiguration spelt as the API spells it."""
    logging_ = props.get("LoggingConfiguration")
    if not isinstance(logging_, dict):
        return props
    destinations = [
        {"cloudWatchLogsLogGroup": {"logGroupArn": each.get("CloudWatchLogsLogGroup", {}).get("LogGroupArn")}}
        for each in logging_.get("Destinations") or []
    ]
    spelt = {
        "level": logging_.get("Level", "OFF"),
        # A template's booleans may be words.
        "includeExecutionData": str(logging_.get("IncludeExecutionData", False)).lower() == "true",
        "destinations": destinations,
    }
    return {**props, "LoggingConfiguration": spelt}


def _trace(arn: str, props: dict[str, Any]) -> None:
    from ministack.services import stepfunctions

    enabled = (props.get("TracingConfiguration") or {}).get("Enabled", False)
    machine = stepfunctions._state_machines.get(arn)
    if machine is not None:
        machine["tracingConfiguration"] = {"enabled": str(enabled).lower() == "true"}


_WRAPPED = {
    "AWS::IAM::Role": account_types.role,
    "AWS::Lambda::Function": _function,
    "AWS::StepFunctions::StateMachine": _state_machine,
}
