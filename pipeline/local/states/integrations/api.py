"""API calls of tasks: checked against botocore's model, made with the role, errors named as on AWS."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.validate import ParamValidator

from pipeline.local.states import sdknames
from pipeline.local.states.errors import Fault, StateFailure
from pipeline.local.states.jsontext import dumps
from pipeline.local.states.taskcall import TaskCall


@dataclass(frozen=True)
class Style:
    """How a family of integrations names its errors and dates.

    Args:
        botocore: botocore's name of the service.
        prefix: first part of error names, e.g. SageMaker.
        label: what causes call the service, e.g. AmazonSageMaker.
        generic: exception for error codes that the service's model does not know.
        optimised: the older SDK's sentence and milliseconds, as optimised integrations have.
    """

    botocore: str
    prefix: str
    label: str
    generic: str
    optimised: bool

    def failure(
        self, name: str, message: str, status: int, code: str, request_id: str, host_id: str = ""
    ) -> StateFailure:
        if self.optimised:
            known = (
                f"(Service: {self.label}; Status Code: {status}; Error Code: {code}; "
                f"Request ID: {request_id}; Proxy: null)"
            )
        else:
            extended = f", Extended Request ID: {host_id}" if host_id else ""
            known = (
                f"(Service: {self.label}, Status Code: {status}, Request ID: {request_id}{extended}) "
                "(SDK Attempt Count: 1)"
            )
        return StateFailure(f"{self.prefix}.{name}", f"{message} {known}")


def optimised(botocore: str, prefix: str, label: str) -> Style:
    return Style(botocore, prefix, label, f"{label.removesuffix('v2')}Exception", True)


@lru_cache(maxsize=64)
def sdk_style(botocore: str, service_id: str) -> Style:
    name = sdknames.pascal(service_id)
    return Style(botocore, name, name, f"{name}Exception", False)


def operation(client: Any, api: str) -> Any:
    """botocore's model of an API written as in a Resource (createTrainingJob); None if there is none."""
    model = client.meta.service_model
    wanted = api.lower()
    name = next((name for name in model.operation_names if name.lower() == wanted), None)
    return model.operation_model(name) if name else None


def invoke(call: TaskCall, style: Style, api: str, parameters: Any) -> tuple[dict[str, Any], Any]:
    """Make one API call; botocore's response and the model of the operation. Raises StateFailure or Fault."""
    client = call.client(style.botocore)
    model = operation(client, api)
    if model is None:
        raise Fault(f"The service {style.label} has no API {api}")
    request = sdknames.request_parameters(parameters, model.input_shape) if model.input_shape else {}
    _check(style, model, request, parameters)
    try:
        return client._make_api_call(model.name, request), model
    except ClientError as error:
        raise _refused(style, client.meta.service_model, error) from error
    except ParamValidationError as error:
        # Lengths and ranges: AWS lets the service refuse them.
        raise style.failure(style.generic, str(error), 400, "ValidationException", "") from error
    except BotoCoreError as error:
        raise StateFailure(
            f"{style.prefix}.SdkClientException", f"Unable to execute HTTP request: {error}"
        ) from error


def request(call: TaskCall, style: Style, api: str, parameters: Any, undo: Any = None) -> dict[str, Any]:
    """One API call without blocking beyond the task's limits; its response as the task's output."""
    response, model = call.call(lambda: invoke(call, style, api, parameters), undo)
    return output(style, response, model)


def output(style: Style, response: dict[str, Any], model: Any, *, metadata: bool = True) -> dict[str, Any]:
    """The response as Step Functions passes it on; optimised integrations add the SDK's metadata."""
    value = sdknames.response_value(response, model.output_shape, epoch_millis=style.optimised) or {}
    if style.optimised and metadata:
        value = {**value, **sdk_metadata(response)}
        value = dict(sorted(value.items()))
    return dict(value)


def sdk_metadata(response: dict[str, Any]) -> dict[str, Any]:
    """SdkHttpMetadata and SdkResponseMetadata of an optimised integration's output."""
    known = response.get("ResponseMetadata", {})
    headers = {str(name): str(value) for name, value in known.get("HTTPHeaders", {}).items()}
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": known.get("HTTPStatusCode", 200),
        },
        "SdkResponseMetadata": {"RequestId": known.get("RequestId", "")},
    }


def _refused(style: Style, model: Any, error: ClientError) -> StateFailure:
    said = error.response.get("Error", {})
    known = error.response.get("ResponseMetadata", {})
    code = str(said.get("Code", "Unknown")).rsplit("#", 1)[-1]
    name = sdknames.modelled_error(model, code) or style.generic
    status, request_id = known.get("HTTPStatusCode", 400), known.get("RequestId", "")
    host_id = known.get("HostId", "") if style.botocore == "s3" else ""
    return style.failure(name, str(said.get("Message", "")), status, code, request_id, host_id)


def _check(style: Style, model: Any, request: Any, parameters: Any) -> None:
    """Raise for parameters that botocore would refuse, as Step Functions or the service would."""
    if model.input_shape is None:
        return
    if not isinstance(request, dict):
        raise Fault(
            f"The Parameters '{dumps(parameters)}' could not be used to start the Task: [Not a JSON object]"
        )
    wrong, missing = [], []
    for kind, name, details in ParamValidator().validate(request, model.input_shape)._errors:
        if kind == "unknown field":
            wrong.append(f"The field '{details['unknown_param']}' is not supported by Step Functions")
        elif kind == "invalid type":
            wrong.append(f"The value of the field '{name.lstrip('.')}' has an invalid format")
        elif kind == "missing required field":
            path = ".".join(part for part in (name.lstrip("."), details["required_name"]) if part)
            missing.append(
                f"Value null at '{path[:1].lower() + path[1:]}' failed to satisfy constraint: "
                "Member must not be null"
            )
    if wrong:
        raise Fault(
            f"The Parameters '{dumps(parameters)}' could not be used to start the Task: [{', '.join(wrong)}]"
        )
    if missing:
        plural = "error" if len(missing) == 1 else "errors"
        message = f"{len(missing)} validation {plural} detected: {'; '.join(missing)}"
        raise style.failure(style.generic, message, 400, "ValidationException", "")
