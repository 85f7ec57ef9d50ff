"""SageMaker's front door: its operations behind one dispatch, and the runtime.

Resource modules register their functions with `operation`; this module is the service MiniStack is given.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from pipeline.local.api import access as shared
from pipeline.local.api.dispatch import Dispatch, Handler, Response, answered
from pipeline.local.sagemaker import access
from pipeline.local.sagemaker.store import Scope, store

__all__ = ["Scope", "answered", "call", "operation", "store"]

log = logging.getLogger(__name__)

# Every module that registers operations, in the order their on_start() runs.
MODULES = (
    "tags",
    # Before the jobs it launches: when the server ends, it must launch no more of them.
    "tuning_job",
    "training_job",
    "processing_job",
    "transform_job",
    "model",
    "endpoint_config",
    "endpoint",
    "model_package_group",
    "model_package",
    "runtime",
)
_PACKAGE = __name__.rpartition(".")[0]
_VERBS = re.compile(r"^(Create|Describe|Stop|Delete|Update|List)(\w+)$")


def _resources_by_name(name: str) -> access.Resources:
    """`training-job/<TrainingJobName>` read off the operation's name, and `*` for List operations."""
    found = _VERBS.match(name)
    if not found or found[1] == "List":
        return lambda request, scope: ["*"]  # noqa: ARG005
    noun = found[2]
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", noun).lower()

    def resources(request: dict[str, Any], scope: Scope) -> Iterable[str]:
        own = request.get(f"{noun}Name")
        return [scope.arn(f"{kind}/{own}") if own else "*"]

    return resources


_dispatch = Dispatch(
    "sagemaker", "SageMaker", "SageMaker", _PACKAGE, MODULES, _resources_by_name, access.authorise
)
_OPERATIONS = _dispatch.operations


def operation(name: str, resources: access.Resources | None = None) -> Callable[[Handler], Handler]:
    """Register `f(request, scope) -> response` for an operation of SageMaker's API."""
    return _dispatch.operation(name, resources)


def load() -> list[ModuleType]:
    """The resource modules, imported (which registers their operations)."""
    return _dispatch.load()


def supported() -> frozenset[str]:
    """Names of the operations the local target has."""
    return _dispatch.supported()


def call(
    name: str, request: dict[str, Any], scope: Scope, caller: access.Caller | None = None
) -> dict[str, Any]:
    """Run one operation in this thread; without a `caller` nobody's policies are weighed.

    Raises:
        SageMakerError: with AWS's code and message.
    """
    return _dispatch.call(name, request, scope, caller)


# --- the shape MiniStack expects of a service ---------------------------------------------------


async def handle_request(
    method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
) -> Response:
    """Answer one HTTP request of SageMaker or SageMaker Runtime."""
    if path.startswith("/endpoints/"):
        runtime = importlib.import_module(f"{_PACKAGE}.runtime")
        response: Response = await runtime.handle(method, path, headers, body, query_params)
        return response
    return await _dispatch.handle(headers, body, query_params, lambda: current_scope())


def current_scope() -> Scope:
    """Account, region and caller of the request this context belongs to."""
    scope: Scope = shared.scoped(Scope)
    return scope


def current_caller(headers: dict[str, str], query_params: dict[str, Any]) -> access.Caller:
    """The signer of the request."""
    return shared.signer(headers, query_params, current_scope(), "sagemaker")


def on_start() -> None:
    """Once the server listens: bring back what was running."""
    _dispatch.on_start()


def on_stop() -> None:
    """Before the server ends: leave no process behind."""
    _dispatch.on_stop()


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
