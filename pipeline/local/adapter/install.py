"""Put MiniStack and our plug-ins together into one ASGI application."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ministack import app
from ministack.core import iam_evaluator as evaluator

from pipeline.local import context, ecr
from pipeline.local.adapter import (
    alarms,
    executions,
    facts,
    identity,
    images,
    imports,
    lambdas,
    metric_filters,
    objects,
    permissions,
    registry,
    routing,
    schedules,
    simulator,
    stacks,
    state,
    templates,
    web_identity,
)
from pipeline.local.lifecycle import ABOUT_PATH, HEALTH_PATH
from pipeline.local.registry.front import Front, is_registry_path

logger = logging.getLogger("pipeline.local")

_SAGEMAKER = "pipeline.local.sagemaker.service"
_CODEBUILD = "pipeline.local.codebuild.service"
_GLUE = "pipeline.local.glue.service"
_STATES = "pipeline.local.states"
_SCALING = "pipeline.local.autoscaling.service"
_CLOUDFORMATION = "ministack.services.cloudformation"

# How long a stop waits for stacks that are being changed.
_SETTLE_SECONDS = 5.0

# MiniStack's own doors that change or wipe state without any credentials.
_CLOSED = ("/_ministack/reset", "/_ministack/config")


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
    # What stays on the loopback interface counts as encrypted in transit: policies that demand TLS are for
    # networks, and without this they would shut everybody out of every bucket.
    app.pin_request_origin = lambda address, _: evaluator.pin_request_origin(address, True)
    imports.install()
    registry.refuse_the_rest()

    routing.install()
    sagemaker = importlib.import_module(_SAGEMAKER)
    registry.register_service("sagemaker", sagemaker, target_prefixes=("SageMaker.",))
    registry.register_service(routing.RUNTIME, sagemaker, host_patterns=(r"runtime\.sagemaker\.",))
    codebuild = importlib.import_module(_CODEBUILD)
    registry.register_service("codebuild", codebuild, target_prefixes=("CodeBuild_20161006.",))
    glue = importlib.import_module(_GLUE)
    registry.register_service("glue", glue, target_prefixes=("AWSGlue.",))
    scaling = importlib.import_module(_SCALING)
    registry.register_service("application-autoscaling", scaling, target_prefixes=(scaling.TARGET_PREFIX,))
    imports.after("ministack.services.stepfunctions", lambda it: importlib.import_module(_STATES).install(it))
    imports.after("ministack.services.stepfunctions", lambda it: executions.install(it, reported))
    imports.after("ministack.services.cloudwatch", alarms.install)
    imports.after("ministack.services.cloudwatch_logs", metric_filters.install)
    imports.after("ministack.services.eventbridge", schedules.install)
    imports.after("ministack.services.scheduler", schedules.install_pace)
    imports.after("ministack.services.lambda_svc", lambdas.install)
    imports.after("ministack.services.s3", objects.install)
    imports.after("ministack.services.sts", web_identity.install)
    imports.after(f"{_CLOUDFORMATION}.provisioners", lambda it: _types().install(it))
    imports.after(f"{_CLOUDFORMATION}.stacks", lambda it: _types().install_worker_threads(it))
    imports.after(f"{_CLOUDFORMATION}.engine", templates.install)
    pushed = images.Images()
    pushed.install()
    permissions.install()
    identity.install()
    imports.after("ministack.services.iam", simulator.install)
    saver = state.install()
    pushed.changed = lambda: saver.touch(state.IMAGES)
    stopped = threading.Event()

    def reported() -> None:
        saver.touch(state.LOGS, state.METRICS)

    def on_start() -> None:
        saver.start()
        threading.Thread(target=alarms.watch, args=(stopped, reported), name="alarms", daemon=True).start()
        saver.touch()
        _call("on_start", _SAGEMAKER, _GLUE, _CODEBUILD, _SCALING, _STATES)
        importlib.import_module("ministack.services.cloudformation")
        if "ministack.services.ecr" in sys.modules:
            ecr.remove_unreferenced()

    def on_stop() -> None:
        stopped.set()
        if not stacks.settled(_SETTLE_SECONDS):
            logger.warning("a stack is still being changed: what was done to it is given up")
        # Executions first: one that is still at work would take the end of its job for a failure of the job.
        _call("on_stop", _STATES, _SCALING, _CODEBUILD, _GLUE, _SAGEMAKER)
        pushed.backend.stop()
        lambdas.stop()

    return Application(asgi=_guarded(app.app, pushed.front), on_start=on_start, on_stop=on_stop)


def _types() -> ModuleType:
    """Imported late: it imports the interpreter, which imports Step Functions."""
    return importlib.import_module("pipeline.local.adapter.types")


def _call(hook: str, *plugins: str) -> None:
    """Call a hook of the plug-ins that are loaded, in this order."""
    for name in plugins:
        function = getattr(sys.modules.get(name), hook, None)
        if function is None:
            continue
        try:
            function()
        except Exception:
            logger.exception("%s of %s failed", hook, name)


def _guarded(inner: Callable, front: Front) -> Callable:
    """MiniStack's application with our health check and registry, without its doors that ask nobody."""

    async def asgi(scope: dict, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and path == HEALTH_PATH:
            told = {"pid": os.getpid(), "root": str(context.root()), "options": facts.told()}
            await _answer(send, 200, told)
        elif scope["type"] == "http" and path == ABOUT_PATH:
            await _answer(send, 200, await asyncio.to_thread(facts.about))
        elif scope["type"] == "http" and path.startswith(_CLOSED):
            await _answer(send, 403, {"message": "closed; use: pipeline local reset"})
        elif scope["type"] == "http" and is_registry_path(path):
            await front(scope, receive, send)
        else:
            await inner(scope, receive, send)

    return asgi


async def _answer(send: Any, status: int, content: dict[str, Any]) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
