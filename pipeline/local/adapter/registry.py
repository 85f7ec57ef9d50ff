"""Seam: MiniStack's table of services. Registers ours, and refuses by name what is not offered.

A service is a module (or an object) with
`async handle_request(method, path, headers, body, query_params) -> (status, headers, bytes)`,
`get_state()`, `load_persisted_state(data)` and `reset()`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from ministack import app
from ministack.core import router

Response = tuple[int, dict[str, str], Any]
Handler = Callable[[str, str, dict, bytes, dict], Awaitable[Response]]

# MiniStack's services that do what AWS's do, as far as our pipelines use them. The others exist in
# MiniStack too, but some only pretend (its Glue says SUCCEEDED of what never ran), so none is offered.
OFFERED = frozenset(
    {
        "budgets",
        "cloudformation",
        "ecr",
        "events",
        "iam",
        "kms",
        "lambda",
        "logs",
        "monitoring",
        "resource-groups",
        "s3",
        "scheduler",
        "secretsmanager",
        "sns",
        "sqs",
        "ssm",
        "states",
        "sts",
        "tagging",
    }
)


# Services whose REST protocol speaks XML.
_XML = frozenset({"cloudfront", "route53", "s3", "s3control"})
_WRAPS = {"ec2": "<Response><Errors>%s</Errors></Response>", "s3": "%s"}


def register_service(
    name: str,
    module: Any,
    *,
    target_prefixes: tuple[str, ...] = (),
    host_patterns: tuple[str, ...] = (),
) -> None:
    """Make `module` answer for a service.

    Args:
        name: MiniStack's name of the service; the SigV4 credential scope when there is one.
        module: see the module's docstring.
        target_prefixes: what `X-Amz-Target` begins with, such as `SageMaker.`.
        host_patterns: regular expressions over the Host header.
    """
    # Not in MiniStack's map of persisted states: ours write their state themselves.
    app.SERVICE_REGISTRY[name] = {"module": name}
    app._loaded_modules[name] = module
    app.SERVICE_HANDLERS[name] = module.handle_request
    router.SERVICE_PATTERNS[name] = {
        "target_prefixes": list(target_prefixes),
        "host_patterns": list(host_patterns),
    }


def refuse_the_rest() -> None:
    """Answer every service that is not offered with an error that names it."""

    class Handlers(dict):
        """MiniStack looks a request's service up with `get`."""

        def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - dict's signature
            return self[name] if name in self else _refusal(name)

    kept = {name: handler for name, handler in app.SERVICE_HANDLERS.items() if name in OFFERED}
    app.SERVICE_HANDLERS = Handlers(kept)
    for name in set(app.SERVICE_REGISTRY) - OFFERED:
        del app.SERVICE_REGISTRY[name]
    # MiniStack reads all of botocore's models (seconds) to tell whether a signature's scope is a service.
    router._is_aws_service_name = lambda _: True
    # What is kept on disk follows the registry.
    app._state_map = app._registry_state_map()


def _refusal(service: str) -> Handler:
    async def refuse(method: str, path: str, headers: dict, body: bytes, query_params: dict) -> Response:
        form = parse_qs(body.decode("utf-8", "replace")) if body.startswith(b"Action=") else query_params
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        operation = operation or next(iter(form.get("Action", [])), "") or f"{method} {path}"
        message = f"the local target does not offer {service} ({operation}); use an AWS account for it"
        return _error(service, "Action" in form, 501, "NotImplementedException", message)

    return refuse


def failure(service: str, headers: dict, body: bytes, message: str) -> Response:
    """What a service answers when the local target itself fails."""
    query = body.startswith(b"Action=") and not headers.get("x-amz-target")
    return _error(service, query, 500, "InternalFailure", message)


def _error(service: str, query: bool, status: int, code: str, message: str) -> Response:
    if query or service in _XML:
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        wrap = _WRAPS.get(service, "<ErrorResponse>%s</ErrorResponse>")
        return status, {"Content-Type": "text/xml"}, (wrap % error).encode()
    answer = {"Content-Type": "application/json", "x-amzn-errortype": code}
    return status, answer, json.dumps({"__type": code, "message": message, "Message": message}).encode()
