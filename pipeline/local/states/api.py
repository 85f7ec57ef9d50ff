"""The API operations we answer instead of MiniStack: starting, stopping, tokens, validation.

The functions take the request's members and return MiniStack's (status, headers, body).
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, new_uuid

from pipeline.local import roles
from pipeline.local.states import clients, managed_rules, seams, tokens, validate
from pipeline.local.states.execution import Execution, new_record, running
from pipeline.local.states.jsontext import exceeds_limit

Response = Any


def _refuse(code: str, message: str) -> Response:
    return error_response_json(code, message, 400)


_MISSING = {
    "StateMachineDoesNotExist": ("stateMachineArn", "State Machine Does Not Exist"),
    "ExecutionDoesNotExist": ("executionArn", "Execution Does Not Exist"),
    "StateMachineAlreadyExists": ("name", "State Machine Already Exists"),
}


def worded(theirs: Any) -> Any:
    """One of MiniStack's operations with AWS's words for what does not exist, and its check of ARNs."""

    def operation(data: dict[str, Any]) -> Response:
        for member in ("stateMachineArn", "executionArn"):
            arn = data.get(member)
            if isinstance(arn, str) and not arn.startswith("arn:"):
                return _refuse("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {arn}'")
        response = theirs(data)
        if response[0] < 400:
            return response
        code = str(json.loads(response[2]).get("__type", "")).rsplit("#", 1)[-1]
        if code not in _MISSING:
            return response
        member, words = _MISSING[code]
        named = machine_arn(str(data.get("name"))) if member == "name" else data.get(member)
        return _refuse(code, f"{words}: '{named}'")

    return operation


def delete_state_machine(theirs: Any) -> Any:
    """DeleteStateMachine, which on AWS also succeeds for a machine that is gone."""

    def delete(data: dict[str, Any]) -> Response:
        return theirs(data) if data.get("stateMachineArn") in seams.state_machines else json_response({})

    return delete


def machine_arn(name: str) -> str:
    """The ARN of a state machine in the request's account and region."""
    return f"arn:aws:states:{get_region()}:{get_account_id()}:stateMachine:{name}"


def checked_machine(arn: str, definition: Any, role_arn: str, kind: str) -> tuple[str, str] | None:
    """Why the state machine cannot be made or changed, as (error code, message), or None."""
    found = validate.check(definition, kind)
    if found:
        return "InvalidDefinition", validate.refusal(found)
    try:
        clients.check(role_arn, get_region(), arn)
        refused = managed_rules.denied(definition, role_arn, get_region())
    except roles.RoleNotAssumable as error:
        return "AccessDeniedException", clients.not_assumable(error)
    return ("AccessDeniedException", refused) if refused else None


def create_state_machine(theirs: Any) -> Any:
    """CreateStateMachine with the checks AWS makes before MiniStack's own."""

    def create(data: dict[str, Any]) -> Response:
        if data.get("name"):
            refused = checked_machine(
                machine_arn(str(data["name"])),
                data.get("definition"),
                data.get("roleArn") or "",
                data.get("type") or "STANDARD",
            )
            if refused:
                return _refuse(*refused)
        return theirs(data)

    return create


def update_state_machine(theirs: Any) -> Any:
    """UpdateStateMachine with the same checks over what the machine would become."""

    def update(data: dict[str, Any]) -> Response:
        machine = seams.state_machines.get(data.get("stateMachineArn"))
        if machine and ("definition" in data or "roleArn" in data):
            definition = data.get("definition", machine["definition"])
            refused = checked_machine(
                machine["stateMachineArn"],
                definition,
                data.get("roleArn", machine["roleArn"]),
                machine["type"],
            )
            if refused:
                return _refuse(*refused)
        return theirs(data)

    return update


def validate_definition(data: dict[str, Any]) -> Response:
    """ValidateStateMachineDefinition."""
    found = validate.check(data.get("definition"), data.get("type") or "STANDARD")
    limit = int(data.get("maxResults") or 100)
    answer = {
        "result": "FAIL" if found else "OK",
        "diagnostics": [one.answer() for one in found[:limit]],
        "truncated": len(found) > limit,
    }
    return json_response(answer)


def start_execution(data: dict[str, Any]) -> Response:
    """StartExecution: the same name and input again is the same execution while it runs, else refused."""
    prepared = _prepare(data)
    if not isinstance(prepared, Execution):
        return prepared
    prepared.start()
    return json_response(
        {"executionArn": prepared.record["executionArn"], "startDate": prepared.record["startDate"]}
    )


def start_sync_execution(data: dict[str, Any]) -> Response:
    """StartSyncExecution: run to the end and answer with it. MiniStack calls it off the event loop."""
    execution = _prepare({**data, "name": data.get("name") or new_uuid()}, sync=True)
    if not isinstance(execution, Execution):
        return execution
    execution.run()
    record = execution.record
    members = (
        "executionArn",
        "stateMachineArn",
        "name",
        "startDate",
        "stopDate",
        "status",
        "error",
        "cause",
        "input",
        "inputDetails",
        "output",
    )
    answer = {name: record[name] for name in members if record[name] is not None}
    if "output" in answer:
        answer["outputDetails"] = record["outputDetails"]
    return json_response(answer)


def _prepare(data: dict[str, Any], *, sync: bool = False) -> Any:
    """The execution a request asks for, put into the store; or the response that says why not."""
    requested = data.get("stateMachineArn") or ""
    base = seams.sfn._resolve_state_machine_arn(requested)
    if base is None:
        return _refuse("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{requested}'")
    text = data.get("input") or "{}"
    try:
        json.loads(text)
    except (TypeError, ValueError) as error:
        return _refuse("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'")
    if exceeds_limit(text):
        return _refuse(
            "InvalidExecutionInput", "Invalid State Machine Execution Input: 'The input is too large.'"
        )
    machine = seams.state_machines[base]
    version_arn = seams.sfn._execution_version_arn(requested)
    version = seams.versions.get(version_arn) or {}
    ran = {**machine, **{key: version[key] for key in ("definition", "roleArn") if key in version}}
    name = data.get("name") or new_uuid()
    arn = f"arn:aws:states:{get_region()}:{get_account_id()}:execution:{machine['name']}:{name}"
    existing = seams.executions.get(arn)
    if existing is not None:
        if existing["status"] == "RUNNING" and existing["input"] == text and not sync:
            return json_response({"executionArn": arn, "startDate": existing["startDate"]})
        return _refuse("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
    more: dict[str, Any] = {
        "sync": sync,
        "encryptionConfiguration": version.get("encryptionConfiguration")
        or machine.get("encryptionConfiguration")
        or {"type": "AWS_OWNED_KEY"},
    }
    if version:
        more["stateMachineVersionArn"] = version_arn
    record = new_record(arn, machine, name, text, **more)
    seams.executions[arn] = record
    return Execution(record, ran)


def stop_execution(data: dict[str, Any]) -> Response:
    """StopExecution: ABORTED, and the job it waits for is stopped. An ended one stays as it is."""
    arn = data.get("executionArn")
    record = seams.executions.get(arn)
    if record is None:
        return _refuse("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
    execution = running(str(arn))
    if execution is not None and record["status"] == "RUNNING":
        execution.stop(data.get("error"), data.get("cause"))
    return json_response({"stopDate": record["stopDate"]})


def describe_execution(theirs: Any) -> Any:
    """DescribeExecution with the members MiniStack leaves out, and without empty ones."""

    def describe(data: dict[str, Any]) -> Response:
        status, headers, body = theirs(data)
        record = seams.executions.get(data.get("executionArn"))
        if record is None or status >= 400:
            return status, headers, body
        answer = {key: value for key, value in json.loads(body).items() if value is not None}
        if "output" not in answer:
            answer.pop("outputDetails", None)
        redrivable = record["status"] in ("FAILED", "TIMED_OUT", "ABORTED")
        answer["redriveCount"] = record.get("redriveCount", 0)
        answer["redriveStatus"] = "REDRIVABLE" if redrivable else "NOT_REDRIVABLE"
        if not redrivable:
            answer["redriveStatusReason"] = f"Execution is {record['status']} and cannot be redriven"
        if record.get("stateMachineVersionArn"):
            answer["stateMachineVersionArn"] = record["stateMachineVersionArn"]
        return json_response(answer, status)

    return describe


def send_task_success(data: dict[str, Any]) -> Response:
    """SendTaskSuccess; the output must be JSON."""
    output = data.get("output")

    def succeed() -> None:
        tokens.find(data.get("taskToken"))
        try:
            json.loads(output if isinstance(output, str) else "")
        except ValueError as error:
            raise tokens.TokenError("InvalidOutput", f"Invalid Output: '{error}'") from error
        tokens.succeed(data.get("taskToken"), str(output))

    return _token(succeed)


def send_task_failure(data: dict[str, Any]) -> Response:
    """SendTaskFailure."""
    return _token(lambda: tokens.fail(data.get("taskToken"), data.get("error"), data.get("cause")))


def send_task_heartbeat(data: dict[str, Any]) -> Response:
    """SendTaskHeartbeat."""
    return _token(lambda: tokens.beat(data.get("taskToken")))


def _token(action: Any) -> Response:
    try:
        action()
    except tokens.TokenError as error:
        return _refuse(error.code, error.message)
    return json_response({})
