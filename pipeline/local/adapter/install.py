"""Put MiniStack and our plug-ins together into one ASGI application."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ministack import app

from pipeline.local import context
from pipeline.local.adapter import registry
from pipeline.local.lifecycle import HEALTH_PATH

logger = logging.getLogger("pipeline.local")


@dataclass(frozen=True)
class Application:
    """What the server runs: the ASGI callable, and what to do once it listens and before it ends."""

    asgi: Callable
    on_start: Callable[[], None]
    on_stop: Callable[[], None]


def install() -> Application:
    """Extend MiniStack in this process. Call once, after the environment and the context are set."""
    # MiniStack removes every container it has labelled, on whatever engine it finds: those are not ours.
    app._docker_socket_present = lambda: False
    registry.refuse_the_rest()

    plugins: list[ModuleType] = []
    sagemaker = _plugin("pipeline.local.sagemaker.service")
    if sagemaker:
        plugins.append(sagemaker)
        registry.register_service("sagemaker", sagemaker, target_prefixes=("SageMaker.",))
        # One credential scope for both; the runtime is told apart by its path, in the service.
        registry.register_service(
            "sagemaker-runtime", sagemaker, target_prefixes=(), host_patterns=(r"runtime\.sagemaker\.",)
        )
    states = _plugin("pipeline.local.states")
    if states:
        from ministack.services import stepfunctions

        plugins.append(states)
        states.install(stepfunctions)
    types = _plugin("pipeline.local.sagemaker.cloudformation")
    if types:
        from ministack.services.cloudformation import provisioners

        provisioners._RESOURCE_HANDLERS.update(types.HANDLERS)

    return Application(
        asgi=_with_health(app.app),
        on_start=lambda: _call(plugins, "on_start"),
        on_stop=lambda: _call(plugins[::-1], "on_stop"),
    )


def _plugin(name: str) -> ModuleType | None:
    parent = name.rpartition(".")[0]
    if importlib.util.find_spec(parent) is None or importlib.util.find_spec(name) is None:
        logger.warning("plug-in %s is not there; what it offers is refused", name)
        return None
    return importlib.import_module(name)


def _call(plugins: list[ModuleType], hook: str) -> None:
    for plugin in plugins:
        function = getattr(plugin, hook, None)
        if function is None:
            continue
        try:
            function()
        except Exception:
            logger.exception("%s of %s failed", hook, plugin.__name__)


def _with_health(inner: Callable) -> Callable:
    async def asgi(scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == HEALTH_PATH:
            body = json.dumps({"pid": os.getpid(), "root": str(context.root())}).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await inner(scope, receive, send)

    return asgi
