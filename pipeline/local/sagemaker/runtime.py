"""SageMaker Runtime: InvokeEndpoint, from the signed request to the serve process and back.

Runs on the event loop and adds as little as it can: no model validation beyond the limits AWS states,
no copy of the body, one dictionary look-up for the route.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import unquote

from pipeline.local.sagemaker import deployment, health, routes, telemetry
from pipeline.local.sagemaker.backend import MAX_BODY, Answer, Backend, NoAnswer, TooLarge
from pipeline.local.sagemaker.errors import AccessDeniedException, SageMakerError
from pipeline.local.sagemaker.fleet import Abandoned, StartFailed
from pipeline.local.sagemaker.routes import VariantRoute
from pipeline.local.sagemaker.serverless import Throttled
from pipeline.local.sagemaker.service import Response, current_caller, current_scope
from pipeline.local.sagemaker.store import Scope, store

# A container must answer within 60 seconds (InvokeEndpoint's documentation).
SECONDS = 60.0
# After a restart of the server a request waits this long for its endpoint to be back.
_RETURN_SECONDS = 45.0
_CONTAINER = "primary"
_CUSTOM = "x-amzn-sagemaker-custom-attributes"
_VARIANT = "x-amzn-sagemaker-target-variant"
# All that reaches the container; AWS strips the others.
_PASSED = ("content-type", "accept", _CUSTOM, "x-amzn-sagemaker-inference-id")
_REFUSED = {
    "x-amzn-sagemaker-target-model": "TargetModel (multi-model endpoints)",
    "x-amzn-sagemaker-target-container-hostname": "TargetContainerHostname (multi-container endpoints)",
    "x-amzn-sagemaker-inference-component": "InferenceComponentName",
    "x-amzn-sagemaker-enable-explanations": "EnableExplanations",
    "x-amzn-sagemaker-session-id": "SessionId (stateful sessions)",
}


class _RuntimeError(SageMakerError):
    """Errors of the runtime: rest-json, so the type is in a header."""

    message_key = "Message"

    def response(self) -> Response:
        body = {self.message_key: self.message, **self.members}
        headers = {"Content-Type": "application/json", "x-amzn-errortype": self.code}
        return self.status, headers, json.dumps(body).encode()


class ValidationError(_RuntimeError):
    """Bad input, or no such endpoint in service."""

    code, status = "ValidationError", 400


class ModelError(_RuntimeError):
    """The container answered with an error, or not at all."""

    code, status = "ModelError", 424


class ThrottlingException(_RuntimeError):
    """A serverless variant has as many requests as it may; no modelled error, and one that clients retry."""

    code, status = "ThrottlingException", 400


class _NotOffered(_RuntimeError):
    code, status = "UnsupportedOperation", 501


async def handle(
    method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
) -> Response:
    """Answer one request of the runtime."""
    parts = path.split("/")
    name = unquote(parts[2])
    try:
        if method != "POST" or len(parts) != 4 or parts[3] != "invocations":
            what = (
                "InvokeEndpointAsync" if parts[-1].startswith("async") else "InvokeEndpointWithResponseStream"
            )
            raise _NotOffered(f"The SageMaker Runtime operation {what} is not supported by the local target.")
        scope = current_scope()
        current_caller(headers, query_params).check(
            "sagemaker:InvokeEndpoint", scope.arn(f"endpoint/{name}"), {}
        )
        return await _invoke(scope, name, headers, body)
    except AccessDeniedException as error:
        return (
            403,
            {"Content-Type": "application/json", "x-amzn-errortype": error.code},
            json.dumps({"Message": error.message}).encode(),
        )
    except SageMakerError as error:
        return error.response()


async def _invoke(scope: Scope, name: str, headers: dict[str, str], body: bytes) -> Response:
    started = time.perf_counter()
    if len(body) > MAX_BODY:
        raise ValidationError(
            "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have "
            f"length less than or equal to {MAX_BODY}"
        )
    for header, feature in _REFUSED.items():
        if header in headers:
            raise _NotOffered(f"{feature} is not supported by the local target.")
    route = routes.find(deployment.key_of(scope, name)) or await _returning(scope, name)
    target = headers.get(_VARIANT)
    variant = route.pick(target)
    if variant is None:
        raise ValidationError(
            f"Variant {target} not found for Request" if target else "No variant has weight."
        )
    head = _head(headers, len(body))
    status = 0
    called = time.perf_counter()
    try:
        answer = await _ask(scope, name, variant, head, body)
        status = answer.status
    finally:
        ended = time.perf_counter()
        telemetry.count(
            (scope.account, scope.region, name, variant.name, variant.config),
            status,
            (ended - called) * 1e6,
            (called - started) * 1e6,
            0 if variant.demand else max(1, len(variant.backends)),
        )
    if not 200 <= answer.status < 300:
        raise _refusal(scope, name, answer)
    answer_type = answer.headers.get("content-type", "application/octet-stream")
    if variant.sink is not None:
        variant.sink.take(headers, body, answer_type, answer.body)
    response = {
        "Content-Type": answer_type,
        "x-Amzn-Invoked-Production-Variant": variant.name,
    }
    if _CUSTOM in answer.headers:
        response["X-Amzn-SageMaker-Custom-Attributes"] = answer.headers[_CUSTOM]
    return 200, response, answer.body


def _head(headers: dict[str, str], length: int) -> bytes:
    lines = [f"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}"]
    lines += [f"{header}: {headers[header]}" for header in _PASSED if header in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


async def _returning(scope: Scope, name: str) -> routes.Route:
    """The route of an endpoint that is in service but, just after a restart, not back yet."""
    deadline = time.monotonic() + _RETURN_SECONDS
    key = deployment.key_of(scope, name)
    while time.monotonic() < deadline:
        record = store.get(scope, deployment.KIND, name)
        if record is None or record["EndpointStatus"] in ("Creating", "Failed", "Deleting", "OutOfService"):
            break
        route = routes.find(key)
        if route is not None:
            return route
        await asyncio.sleep(0.05)
    raise ValidationError(f"Endpoint {name} of account {scope.account} not found.")


async def _ask(scope: Scope, name: str, variant: VariantRoute, head: bytes, body: bytes) -> Answer:
    """The answer of one of the variant's processes."""
    deadline = time.monotonic() + SECONDS
    while True:
        backend = await _backend(scope, name, variant)
        if backend is None:
            break
        try:
            return await backend.request(head, body, deadline - time.monotonic())
        except TimeoutError:
            raise _silence(
                scope,
                name,
                f"Your invocation timed out while waiting for a response from container {_CONTAINER}. Review "
                "the latency metrics for each container in Amazon CloudWatch, resolve the issue, and try "
                "again.",
            ) from None
        except TooLarge:
            raise ModelError(
                f"Received server error (500) from {_CONTAINER} and could not load the entire response body. "
                + _see(scope, name),
                OriginalStatusCode=500,
                OriginalMessage="",
                LogStreamArn=_log_arn(scope, name),
            ) from None
        except NoAnswer as error:
            health.poke()
            if not error.unsent:
                break
            # Refused before a byte was sent: the process is gone, and another may take the request.
            backend.healthy = False
        finally:
            _done(variant, backend)
    raise _silence(scope, name, "An error occurred while handling request as the model process exited.")


async def _backend(scope: Scope, name: str, variant: VariantRoute) -> Backend | None:
    """A process for one request, counted in its `inflight`; None when there is none."""
    if variant.demand is None:
        backend = variant.backend()
        if backend is not None:
            backend.inflight += 1
        return backend
    try:
        return await variant.demand.acquire()
    except Throttled:
        raise ThrottlingException(
            "The serverless variant has as many requests as its MaxConcurrency."
        ) from None
    except (StartFailed, Abandoned) as error:
        raise _silence(scope, name, str(error) or "The model process could not be started.") from None


def _done(variant: VariantRoute, backend: Backend) -> None:
    if variant.demand is None:
        backend.inflight -= 1
    else:
        variant.demand.release(backend)


def _silence(scope: Scope, name: str, text: str) -> ModelError:
    return ModelError(
        f'Received server error (0) from {_CONTAINER} with message "{text}". {_see(scope, name)}',
        OriginalStatusCode=0,
        OriginalMessage=text,
        LogStreamArn=_log_arn(scope, name),
    )


def _refusal(scope: Scope, name: str, answer: Answer) -> ModelError:
    text = answer.body.decode("utf-8", "replace")
    side = "client" if 400 <= answer.status < 500 else "server"
    return ModelError(
        f'Received {side} error ({answer.status}) from {_CONTAINER} with message "{text}". '
        + _see(scope, name),
        OriginalStatusCode=answer.status,
        OriginalMessage=text,
        LogStreamArn=_log_arn(scope, name),
    )


def _see(scope: Scope, name: str) -> str:
    return (
        f"See https://{scope.region}.console.aws.amazon.com/cloudwatch/home?region={scope.region}"
        f"#logEventViewer:group=/aws/sagemaker/Endpoints/{name} in account {scope.account} "
        "for more information."
    )


def _log_arn(scope: Scope, name: str) -> str:
    group = f"log-group:/aws/sagemaker/Endpoints/{name}"
    return f"arn:{scope.partition}:logs:{scope.region}:{scope.account}:{group}"
