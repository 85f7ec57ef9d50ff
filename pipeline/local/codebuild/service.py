"""CodeBuild's front door: projects and builds behind one dispatch; the rest of it is refused by name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pipeline.local.api import access as shared
from pipeline.local.api.dispatch import Dispatch, Handler, Response
from pipeline.local.codebuild import access
from pipeline.local.codebuild.store import Scope, store

log = logging.getLogger(__name__)

# Every module that registers operations, in the order their on_start() runs.
MODULES = ("projects", "builds")
_PACKAGE = __name__.rpartition(".")[0]

_dispatch = Dispatch(
    "codebuild", "CodeBuild", "CodeBuild_20161006", _PACKAGE, MODULES, access.by_name, access.authorise
)


def operation(name: str, resources: access.Resources | None = None) -> Callable[[Handler], Handler]:
    """Register `f(request, scope) -> response` for an operation of CodeBuild's API."""
    return _dispatch.operation(name, resources)


def supported() -> frozenset[str]:
    """Names of the operations the local target has."""
    return _dispatch.supported()


def call(
    name: str, request: dict[str, Any], scope: Scope, caller: access.Caller | None = None
) -> dict[str, Any]:
    """Run one operation in this thread; without a `caller` nobody's policies are weighed.

    Raises:
        ApiError: with AWS's code and message.
    """
    return _dispatch.call(name, request, scope, caller)


def current_scope() -> Scope:
    """Account, region and caller of the request this context belongs to."""
    scope: Scope = shared.scoped(Scope)
    return scope


# --- the shape MiniStack expects of a service ---------------------------------------------------


async def handle_request(
    method: str,  # noqa: ARG001
    path: str,  # noqa: ARG001
    headers: dict[str, str],
    body: bytes,
    query_params: dict[str, Any],
) -> Response:
    """Answer one HTTP request."""
    return await _dispatch.handle(headers, body, query_params, lambda: current_scope())


def on_start() -> None:
    """Once the server listens: end what an earlier one left unfinished."""
    _dispatch.on_start()


def on_stop() -> None:
    """Before the server ends: leave no process behind."""
    _dispatch.on_stop()


def reset() -> None:
    """Forget all projects and end their builds."""
    on_stop()
    store.clear()


def get_state() -> dict[str, Any]:
    """Nothing: the store writes through by itself."""
    return {}


def load_persisted_state(data: dict[str, Any]) -> None:
    """Nothing to take: the store reads its own files."""
    if data:
        log.warning("unexpected persisted CodeBuild state: %s", sorted(data))
