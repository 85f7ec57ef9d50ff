"""SageMaker's front door: one dispatch for all operations of the JSON 1.1 protocol, and the runtime.

A request passes: operation known -> body checked against botocore's model -> caller's policies ->
the resource module's function, in a worker thread -> response shaped by the model. Resource modules
register their functions with `operation`; this module is the service MiniStack is given.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import json
import logging
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pipeline.local.sagemaker import access, validation
from pipeline.local.sagemaker.errors import (
    CONTENT_TYPE,
    InternalFailure,
    NotSupported,
    SageMakerError,
    UnknownOperation,
)
from pipeline.local.sagemaker.store import Scope, store

__all__ = ["Scope", "call", "operation", "store"]

log = logging.getLogger(__name__)
Response = tuple[int, dict[str, str], bytes]
Handler = Callable[[dict[str, Any], Scope], dict[str, Any] | None]

# Every module that registers operations, in the order their on_start() runs.
MODULES = (
    "tags",
    "training_job",
    "processing_job",
    "model",
    "endpoint_config",
    "endpoint",
    "model_package_group",
    "model_package",
    "runtime",
)
_PACKAGE = __name__.rpartition(".")[0]
_VERBS = re.compile(r"^(Create|Describe|Stop|Delete|Update|List)(\w+)$")
_POOL = ThreadPoolExecutor(max_workers=32, thread_name_prefix="sagemaker")


@dataclass(frozen=True)
class _Operation:
    name: str
    handler: Handler
    resources: access.Resources


_OPERATIONS: dict[str, _Operation] = {}


def operation(name: str, resources: access.Resources | None = None) -> Callable[[Handler], Handler]:
    """Register `f(request, scope) -> response` for an operation.

    Args:
        name: as in SageMaker's API, e.g. `CreateTrainingJob`.
        resources: gives the ARNs the caller must be allowed on; by default `training-job/<TrainingJobName>`
            read off the operation's name, and `*` for List operations.
    """

    def register(handler: Handler) -> Handler:
        _OPERATIONS[name] = _Operation(name, handler, resources or _resources_by_name(name))
        return handler

    return register


def _resources_by_name(name: str) -> access.Resources:
    found = _VERBS.match(name)
    if not found or found[1] == "List":
        return lambda request, scope: ["*"]  # noqa: ARG005
    noun = found[2]
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", noun).lower()

    def resources(request: dict[str, Any], scope: Scope) -> Iterable[str]:
        own = request.get(f"{noun}Name")
        return [scope.arn(f"{kind}/{own}") if own else "*"]

    return resources


def load() -> list[ModuleType]:
    """The resource modules, imported (which registers their operations)."""
    return [importlib.import_module(f"{_PACKAGE}.{name}") for name in MODULES]


def supported() -> frozenset[str]:
    """Names of the operations the local target has."""
    load()
    return frozenset(_OPERATIONS)


def call(
    name: str, request: dict[str, Any], scope: Scope, caller: access.Caller | None = None
) -> dict[str, Any]:
    """Run one operation in this thread.

    Args:
        caller: whose policies are weighed; None trusts (other parts of the local target).

    Raises:
        SageMakerError: with AWS's code and message.
    """
    entry = _entry(name)
    checked = validation.check(name, request)
    if caller is not None:
        access.authorise(caller, name, checked, entry.resources(checked, scope))
    return validation.shaped(name, entry.handler(checked, scope) or {})


def _entry(name: str) -> _Operation:
    if name not in _OPERATIONS:
        load()
    entry = _OPERATIONS.get(name)
    if entry is not None:
        return entry
    if name in validation.operations():
        raise NotSupported(f"The SageMaker operation {name}")
    raise UnknownOperation(f"SageMaker has no operation {name!r}.")


# --- the shape MiniStack expects of a service ---------------------------------------------------


async def handle_request(
    method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
) -> Response:
    """Answer one HTTP request of SageMaker or SageMaker Runtime."""
    if path.startswith("/endpoints/"):
        runtime = importlib.import_module(f"{_PACKAGE}.runtime")
        response: Response = await runtime.handle(method, path, headers, body, query_params)
        return response
    target = next((value for key, value in headers.items() if key.lower() == "x-amz-target"), "")
    run = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(
        _POOL, run, _answer, target, headers, body, query_params
    )


def _answer(target: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]) -> Response:
    def result() -> dict[str, Any]:
        service, _, name = target.partition(".")
        if service != "SageMaker" or not name:
            raise UnknownOperation(f"X-Amz-Target {target!r} names no operation of SageMaker.")
        _entry(name)
        request = validation.decode(body)
        return call(name, request, current_scope(), current_caller(headers, query_params))

    return answered(target, CONTENT_TYPE, result)


def answered(target: str, content_type: str, result: Callable[[], Any]) -> Response:
    """What `result` gives as a JSON answer; what it raises as AWS's error, a fault of ours as a 500."""
    try:
        return 200, {"Content-Type": content_type}, json.dumps(result()).encode()
    except SageMakerError as error:
        return error.response()
    except Exception as error:
        log.exception("%s failed", target)
        return InternalFailure(f"{target}: {type(error).__name__}: {error}").response()


def current_scope() -> Scope:
    """Account, region and caller of the request this context belongs to."""
    from ministack.core.iam_evaluator import caller_arn
    from ministack.core.responses import get_account_id, get_region

    return Scope(get_account_id(), get_region(), caller_arn())


def current_caller(headers: dict[str, str], query_params: dict[str, Any]) -> access.Caller:
    """The signer of the request."""
    from ministack.core.router import extract_access_key_id

    return access.Caller(extract_access_key_id(headers, query_params), current_scope())


def on_start() -> None:
    """Once the server listens: bring back what was running."""
    for module in load():
        hook = getattr(module, "on_start", None)
        if hook:
            hook()


def on_stop() -> None:
    """Before the server ends: leave no process behind."""
    for module in load():
        hook = getattr(module, "on_stop", None)
        if hook:
            hook()


def reset() -> None:
    """Forget all resources and end their processes."""
    on_stop()
    store.clear()


def get_state() -> dict[str, Any]:
    """Nothing: the store writes through by itself."""
    return {}


def load_persisted_state(data: dict[str, Any]) -> None:
    """Nothing to take: the store reads its own files."""
    if data:
        log.warning("unexpected persisted SageMaker state: %s", sorted(data))
