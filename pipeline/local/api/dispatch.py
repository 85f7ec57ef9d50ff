"""One dispatch for all operations of a JSON 1.1 service.

A request passes: operation known -> body checked against botocore's model -> caller's policies ->
the resource module's function, in a worker thread -> response shaped by the model. Resource modules
register their functions with `operation`.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import json
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pipeline.local.api import access, validation
from pipeline.local.api.errors import (
    CONTENT_TYPE,
    ApiError,
    InternalFailure,
    NotSupported,
    UnknownOperation,
)

log = logging.getLogger(__name__)
Response = tuple[int, dict[str, str], bytes]
Handler = Callable[[dict[str, Any], Any], dict[str, Any] | None]
Authorise = Callable[[access.Caller, str, dict[str, Any], Iterable[str]], None]
_WORKERS = 32


@dataclass(frozen=True)
class Operation:
    """What a resource module has registered."""

    name: str
    handler: Handler
    resources: access.Resources


class Dispatch:
    """A service's operations.

    Args:
        service: botocore's name, `sagemaker`.
        label: what people call it, `SageMaker`.
        target: what X-Amz-Target begins with, before the dot.
        package: where its resource modules are.
        modules: every module that registers operations, in the order their on_start() runs.
        resources: of an operation's name: the ARNs that a caller must be allowed on, unless registered.
        authorise: weighs the caller's policies.
    """

    def __init__(
        self,
        service: str,
        label: str,
        target: str,
        package: str,
        modules: Iterable[str],
        resources: Callable[[str], access.Resources],
        authorise: Authorise,
    ) -> None:
        self.service, self.label, self.target = service, label, target
        self._package, self._modules = package, tuple(modules)
        self._resources, self._authorise = resources, authorise
        self._pool = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix=service)
        self.operations: dict[str, Operation] = {}

    def operation(self, name: str, resources: access.Resources | None = None) -> Callable[[Handler], Handler]:
        """Register `f(request, scope) -> response` for an operation.

        Args:
            name: as in the service's API, e.g. `CreateTrainingJob`.
            resources: gives the ARNs the caller must be allowed on, where the name does not tell.
        """

        def register(handler: Handler) -> Handler:
            self.operations[name] = Operation(name, handler, resources or self._resources(name))
            return handler

        return register

    def load(self) -> list[ModuleType]:
        """The resource modules, imported (which registers their operations)."""
        return [importlib.import_module(f"{self._package}.{name}") for name in self._modules]

    def supported(self) -> frozenset[str]:
        """Names of the operations the local target has."""
        self.load()
        return frozenset(self.operations)

    def call(
        self, name: str, request: Any, scope: Any, caller: access.Caller | None = None
    ) -> dict[str, Any]:
        """Run one operation in this thread.

        Args:
            caller: whose policies are weighed; None trusts (other parts of the local target).

        Raises:
            ApiError: with AWS's code and message.
        """
        entry = self.entry(name)
        checked = validation.check(self.service, name, request)
        if caller is not None:
            self._authorise(caller, name, checked, entry.resources(checked, scope))
        return validation.shaped(self.service, name, entry.handler(checked, scope) or {})

    def entry(self, name: str) -> Operation:
        """The operation; raises NotSupported or UnknownOperation by name."""
        if name not in self.operations:
            self.load()
        entry = self.operations.get(name)
        if entry is not None:
            return entry
        if name in validation.operations(self.service):
            raise NotSupported(f"The {self.label} operation {name}")
        raise UnknownOperation(f"{self.label} has no operation {name!r}.")

    async def handle(
        self,
        headers: dict[str, str],
        body: bytes,
        query_params: dict[str, Any],
        scope: Callable[[], Any],
    ) -> Response:
        """Answer one HTTP request; `scope` gives its account and region."""
        target = next((value for key, value in headers.items() if key.lower() == "x-amz-target"), "")
        run = contextvars.copy_context().run

        def result() -> dict[str, Any]:
            service, _, name = target.partition(".")
            if service != self.target or not name:
                raise UnknownOperation(f"X-Amz-Target {target!r} names no operation of {self.label}.")
            self.entry(name)
            request = validation.decode(body)
            mine = scope()
            return self.call(name, request, mine, access.signer(headers, query_params, mine, self.service))

        return await asyncio.get_running_loop().run_in_executor(
            self._pool, run, answered, target, CONTENT_TYPE, result
        )

    def on_start(self) -> None:
        """Once the server listens: bring back what was running."""
        self._each("on_start")

    def on_stop(self) -> None:
        """Before the server ends: leave no process behind."""
        self._each("on_stop")

    def _each(self, name: str) -> None:
        for module in self.load():
            hook = getattr(module, name, None)
            if hook:
                hook()


def answered(target: str, content_type: str, result: Callable[[], Any]) -> Response:
    """What `result` gives as a JSON answer; what it raises as AWS's error, a fault of ours as a 500."""
    try:
        return 200, {"Content-Type": content_type}, json.dumps(result()).encode()
    except ApiError as error:
        return error.response()
    except Exception as error:
        log.exception("%s failed", target)
        return InternalFailure(f"{target}: {type(error).__name__}: {error}").response()
