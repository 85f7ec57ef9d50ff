"""Lambda: the optimised lambda:invoke, and functions named by their ARN."""

from __future__ import annotations

import json
from typing import Any

from pipeline.local.states.errors import Fault, StateFailure
from pipeline.local.states.integrations import api
from pipeline.local.states.integrations.base import Integration
from pipeline.local.states.integrations.waiting import from_token
from pipeline.local.states.jsontext import dumps
from pipeline.local.states.taskcall import REQUEST, TOKEN, Resource, TaskCall

STYLE = api.optimised("lambda", "Lambda", "AWSLambda")


def _invoke(call: TaskCall, parameters: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Invoke and wait for the answer; botocore's response and the payload's text."""

    def work() -> tuple[dict[str, Any], str]:
        response, _model = api.invoke(call, STYLE, "invoke", parameters)
        stream = response.pop("Payload", None)
        return response, stream.read().decode("utf-8", "replace") if stream is not None else ""

    return call.call(work)


def _function_failure(text: str, cause: str) -> StateFailure:
    """A function that raised: the exception's class is the error, its report the cause."""
    try:
        report = json.loads(text)
    except ValueError:
        report = None
    named = report.get("errorType") if isinstance(report, dict) else None
    return StateFailure(named or "Lambda.Unknown", cause)


def _json(text: str) -> Any:
    """The payload as JSON data where it is JSON, else as text; nothing is an empty object."""
    if not text:
        return {}
    try:
        return json.loads(text)
    except ValueError:
        return text


class Invoke(Integration):
    """arn:aws:states:::lambda:invoke, with or without a task token."""

    def supports(self, resource: Resource) -> bool:
        return resource.api == "invoke" and resource.pattern in (REQUEST, TOKEN)

    def run(self, call: TaskCall) -> Any:
        parameters = call.parameters
        if not isinstance(parameters, dict) or "FunctionName" not in parameters:
            raise Fault(
                f"The Parameters '{dumps(parameters)}' could not be used to start the Task: "
                "[The field 'FunctionName' is required but was missing]"
            )
        request = {key: value for key, value in parameters.items() if key != "Payload"}
        payload = parameters.get("Payload")
        if payload is not None:
            # A string is the request's body as it stands, anything else is sent as JSON.
            request["Payload"] = payload if isinstance(payload, str) else dumps(payload)
        response, text = _invoke(call, request)
        if response.get("FunctionError"):
            report = _json(text)
            raise _function_failure(text, report if isinstance(report, str) else dumps(report))
        members = ("ExecutedVersion", "LogResult", "StatusCode")
        output = {name: response[name] for name in members if name in response}
        output.setdefault("ExecutedVersion", "$LATEST")
        output = dict(sorted({**output, "Payload": _json(text), **api.sdk_metadata(response)}.items()))
        if call.resource.pattern == TOKEN:
            call.submitted(output)
            return from_token(call)
        return output


class Function(Integration):
    """A function's ARN as the Resource: the input is the event, the answer the result."""

    def supports(self, resource: Resource) -> bool:
        return ":lambda:" in resource.arn

    def run(self, call: TaskCall) -> Any:
        response, text = _invoke(call, {"FunctionName": call.resource.arn, "Payload": dumps(call.parameters)})
        if response.get("FunctionError"):
            raise _function_failure(text, text)
        return _json(text)


INVOKE = Invoke()
FUNCTION = Function()
