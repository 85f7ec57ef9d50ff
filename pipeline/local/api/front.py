"""A service as MiniStack wants one: its operations behind one dispatch, its records in one store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any, Generic, TypeVar

from pipeline.local.api import access
from pipeline.local.api.dispatch import Dispatch, Handler, Response
from pipeline.local.api.store import Scope, Store

log = logging.getLogger(__name__)
S = TypeVar("S", bound=Scope)


class Front(Generic[S]):
    """What a service's module gives the world under these names.

    Args:
        dispatch: its operations.
        store: its records, written through.
    """

    def __init__(self, dispatch: Dispatch, store: Store[S]) -> None:
        self._dispatch, self._store = dispatch, store
        self.operations = dispatch.operations

    def operation(self, name: str, resources: access.Resources | None = None) -> Callable[[Handler], Handler]:
        """Register `f(request, scope) -> response` for an operation of the service's API."""
        return self._dispatch.operation(name, resources)

    def load(self) -> list[ModuleType]:
        """The resource modules, imported (which registers their operations)."""
        return self._dispatch.load()

    def supported(self) -> frozenset[str]:
        """Names of the operations the local target has."""
        return self._dispatch.supported()

    def call(
        self, name: str, request: dict[str, Any], scope: S, caller: access.Caller | None = None
    ) -> dict[str, Any]:
        """Run one operation in this thread; without a `caller` nobody's policies are weighed.

        Raises:
            ApiError: with AWS's code and message.
        """
        return self._dispatch.call(name, request, scope, caller)

    def current_scope(self) -> S:
        """Account, region and caller of the request this context belongs to."""
        scope: S = access.scoped(self._store.scope_type)
        return scope

    async def handle_request(
        self,
        method: str,  # noqa: ARG002
        path: str,  # noqa: ARG002
        headers: dict[str, str],
        body: bytes,
        query_params: dict[str, Any],
    ) -> Response:
        """Answer one HTTP request."""
        return await self._dispatch.handle(headers, body, query_params, self.current_scope)

    def on_start(self) -> None:
        """Once the server listens: end what an earlier one left unfinished."""
        self._dispatch.on_start()

    def on_stop(self) -> None:
        """Before the server ends: leave no process behind."""
        self._dispatch.on_stop()

    def reset(self) -> None:
        """Forget all resources and end what works at them."""
        self.on_stop()
        self._store.clear()

    def get_state(self) -> dict[str, Any]:
        """Nothing: the store writes through by itself."""
        return {}

    def load_persisted_state(self, data: dict[str, Any]) -> None:
        """Nothing to take: the store reads its own files."""
        if data:
            log.warning("unexpected persisted state of %s: %s", self._dispatch.label, sorted(data))
