"""Putting our interpreter into MiniStack's Step Functions service."""

from __future__ import annotations

import contextvars
import json
from typing import Any

from ministack.core.responses import get_account_id, get_region

from pipeline.local.states import api, execution, seams, task
from pipeline.local.states.cancel import Scope, Stopped
from pipeline.local.states.clock import now_iso, wait_scale
from pipeline.local.states.engine import walk
from pipeline.local.states.errors import StateFailure
from pipeline.local.states.frame import Frame, Run
from pipeline.local.states.history import History, Line

_test_role: contextvars.ContextVar[str] = contextvars.ContextVar("test_state_role", default="")


# Operations that stay MiniStack's but for the words of their refusals.
_WORDED = (
    "_create_state_machine",
    "_delete_state_machine",
    "_describe_execution",
    "_describe_state_machine",
    "_describe_state_machine_for_execution",
    "_get_execution_history",
    "_list_executions",
    "_update_state_machine",
)


def install(stepfunctions: Any) -> None:
    """Replace the execution core of `ministack.services.stepfunctions`, which looks functions up by name.

    Call once, before the service answers a request.
    """
    worded = {name: api.worded(getattr(stepfunctions, name)) for name in _WORDED}
    replaced = worded | {
        "_create_state_machine": api.create_state_machine(worded["_create_state_machine"]),
        "_delete_state_machine": api.delete_state_machine(worded["_delete_state_machine"]),
        "_update_state_machine": api.update_state_machine(worded["_update_state_machine"]),
        "_validate_state_machine_definition": api.validate_definition,
        "_start_execution": api.start_execution,
        "_start_sync_execution": api.start_sync_execution,
        "_stop_execution": api.stop_execution,
        "_describe_execution": api.describe_execution(worded["_describe_execution"]),
        "_send_task_success": api.send_task_success,
        "_send_task_failure": api.send_task_failure,
        "_send_task_heartbeat": api.send_task_heartbeat,
        "_run_sub_machine": _run_sub_machine,
        "_invoke_resource": _invoke_resource,
        "_test_state": _test_state(stepfunctions._test_state),
        "_restore_state": _restore_state(stepfunctions._restore_state),
    }
    for name, function in replaced.items():
        setattr(stepfunctions, name, function)
    # The module may have been loaded, and its state restored, before us.
    execution.recover()


def install_cloudformation(provisioners: Any) -> None:
    """Let AWS::StepFunctions::StateMachine be checked as CreateStateMachine is."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::StepFunctions::StateMachine"]
    create = handler["create"]

    def checked(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        name = props.get("StateMachineName") or provisioners._physical_name(
            stack_name, logical_id, max_len=80
        )
        refused = api.checked_machine(
            api.machine_arn(name),
            provisioners._sfn_definition(props),
            props.get("RoleArn", ""),
            props.get("StateMachineType", "STANDARD"),
        )
        if refused:
            body = json.dumps({"__type": refused[0], "message": refused[1]})
            raise provisioners._sfn_service_error((400, {}, body))
        return create(logical_id, props, stack_name)

    handler["create"] = checked


def on_stop() -> None:
    """The server ends: let no execution wait any longer."""
    execution.stop_all()


def _restore_state(theirs: Any) -> Any:
    """Load persisted state; executions that were running are ended with a cause that says what happened."""

    def restore(data: Any) -> None:
        interrupted = []
        if data:
            for _scope, record in _records(data.get("executions")):
                if record.get("status") == "RUNNING":
                    # MiniStack would end it without an event; ours does it once it is in the store.
                    record["status"] = "INTERRUPTED"
                    interrupted.append(record)
        theirs(data)
        for record in interrupted:
            record["status"] = "RUNNING"
        execution.recover()

    return restore


def _records(executions: Any) -> list[tuple[Any, dict[str, Any]]]:
    items = getattr(executions, "_data", executions) or {}
    return [(key, record) for key, record in items.items() if isinstance(record, dict)]


def _run_sub_machine(
    states: dict[str, Any], start_at: str, data: Any, record: dict[str, Any], context: dict[str, Any]
) -> Any:
    """A child execution of a distributed Map, in our engine, with its own history."""
    machine = {"States": states, "StartAt": start_at}
    parent: Frame = context["_frame"].frame
    scope = Scope(parent.scope)
    run = Run(
        {**parent.run.record, **record},
        parent.run.role_arn,
        parent.run.account,
        parent.run.region,
        parent.run.scale,
    )
    own = {
        key: value for key, value in context.items() if key not in ("_frame", "variables", "QueryLanguage")
    }
    frame = Frame(run, scope, Line(History(record["events"])), own, dict(parent.variables), parent.language)
    try:
        return walk(frame, machine, data)
    except StateFailure as failure:
        raise seams.DistributedMapError(failure.error, failure.cause) from failure
    except Stopped as stopped:
        raise seams.DistributedMapError(
            "States.TaskFailed", f"The execution was {stopped.reason}."
        ) from stopped
    finally:
        scope.close()


def _test_state(theirs: Any) -> Any:
    """TestState with the role it names, so that its Task may do what the role may."""

    def test(data: dict[str, Any]) -> Any:
        token = _test_role.set(data.get("roleArn") or "")
        try:
            return theirs(data)
        finally:
            _test_role.reset(token)

    return test


def _invoke_resource(resource: str, data: Any) -> Any:
    """The Task of a TestState request."""
    account, region = get_account_id(), get_region()
    arn = f"arn:aws:states:{region}:{account}:execution:test-state:test-state"
    record = {"executionArn": arn, "stateMachineArn": arn, "startDate": now_iso()}
    run = Run(record, _test_role.get(), account, region, wait_scale())
    frame = Frame(run, Scope(), Line(History([])), {})
    try:
        return task.run_single(frame, resource, data)
    except StateFailure as failure:
        raise seams.DistributedMapError(failure.error or "", failure.cause or "") from failure
