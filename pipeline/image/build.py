"""Build an image, its steps told as they go: by buildx where there is one, else by the engine's own API."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ApplyError
from pipeline.image import buildx, wheelhouse
from pipeline.image.archive import build_context
from pipeline.image.engine import Engine, spoken

Say = Callable[[str], None]
# What SageMaker runs unless an instance type is of another kind.
ARCHITECTURE = "amd64"
# Docker's words, and podman's, which tells the stage before and counts each stage's steps anew.
_STEP = re.compile(r"^(?:Step|(\[\d+/\d+\] )?STEP) (\d+)/(\d+) ?: (.*)$", re.S)
_CACHED = re.compile(r"^-*> Using cache\b")
_TAIL_LINES = 15
_WIDTH = 88


def build(
    engine: Engine,
    folder: Path,
    name: str,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    say: Say,
    cache: buildx.Cache | None = None,
) -> str:
    """Build `folder` and call the image `name` (repository:tag); its id (`sha256:...`).

    Nothing but the engine's cache is left of a build that fails; the name is given at its end.

    Args:
        cache: where buildx finds layers that this engine lacks; the engine's own builder has no such thing.

    Raises:
        ApplyError: a step failed; the text ends with what it printed. Or what the engine's builder makes
            could not be run.
        TargetError: the engine went away.
    """
    with_buildx = buildx.usable(engine)
    if engine.containerd_images and not with_buildx:
        raise ApplyError(
            "this engine keeps images in containerd, and its own builder makes OCI manifests of them, which "
            "SageMaker does not run",
            where=str(engine),
            hint="install docker's plug-in buildx (`docker buildx version` then answers), or turn the "
            "containerd image store off",
        )
    wheels = wheelhouse.ensure(folder, ARCHITECTURE)
    if wheels:
        size = sum(wheel.stat().st_size for wheel in wheels) / 1e6
        say(f"  {len(wheels)} wheels of the lock ({size:.0f} MB), so the build needs no package index")
    # Only where it differs: old engines take the option for an experiment.
    platform = None if engine.architecture == ARCHITECTURE else f"linux/{ARCHITECTURE}"
    where = str(folder / "Dockerfile")
    with build_context(folder, wheels) as context:
        if with_buildx:
            identity, failure = buildx.build(engine, context, name, arguments, labels, platform, cache, say)
            if failure is not None:
                raise _failed(failure.error, failure.step, failure.printed, where)
            return identity
        with spoken("building", engine):
            events = engine.client.api.build(
                fileobj=context,
                custom_context=True,
                tag=name,
                buildargs=dict(arguments),
                labels=dict(labels),
                rm=True,
                forcerm=True,
                decode=True,
                platform=platform,
            )
            return follow(events, say, where)


def follow(events: Iterable[Mapping[str, Any]], say: Say, where: str) -> str:
    """Tell a build's events; the image's id.

    Raises:
        ApplyError: the events end with an error, or without an image.
    """
    steps = _Steps(say)
    identity = ""
    for event in events:
        if "error" in event:
            raise _failed(str(event["error"]).strip(), steps.step, steps.printed, where)
        if "stream" in event:
            steps.take(str(event["stream"]))
        elif "aux" in event:
            identity = str(event["aux"].get("ID") or identity)
        elif "id" not in event and event.get("status"):
            steps.take(str(event["status"]))
    steps.end()
    if not identity:
        raise ApplyError("the build ended without an image", where=where, hint="is the engine still there?")
    return identity


def _failed(error: str, step: str, lines: Iterable[str], where: str) -> ApplyError:
    printed = "\n".join(f"    {line}" for line in lines)
    what = f"the build failed at step {step or '1'}: {error}" + (f"\n{printed}" if printed else "")
    if "no space left" in what.lower():
        return ApplyError(what, where=where, hint="the engine's disk is full: docker system prune")
    if any(text in error for text in ("pull access denied", "manifest unknown", "dial tcp", "lookup ")):
        hint = "the base image cannot be had: name another one in PIPELINE_BASE_IMAGE, or see the network"
        return ApplyError(what, where=where, hint=hint)
    return ApplyError(what, where=where, hint="mend the Dockerfile or the lock, then apply again")


class _Steps:
    """The steps so far: one line for each when it is over, what it printed kept for an error."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._began = time.monotonic()
        self._cached = False
        self._title = ""
        self.step = ""
        self.printed: deque[str] = deque(maxlen=_TAIL_LINES)

    def take(self, text: str) -> None:
        found = _STEP.match(text.strip())
        if found:
            self.end()
            stage, number, total, instruction = found.groups()
            self.step = f"{stage or ''}{number}/{total}"
            self._title = f"{stage or ''}[{number:>{len(total)}}/{total}] {' '.join(instruction.split())}"[
                :_WIDTH
            ]
            self._began, self._cached = time.monotonic(), False
            self.printed.clear()
        elif _CACHED.match(text.strip()):
            self._cached = True
        elif text.strip() and not text.strip().startswith(("--->", "--> ")):
            self.printed.extend(line for line in text.splitlines() if line.strip())

    def end(self) -> None:
        if self._title:
            took = "cached" if self._cached else f"{time.monotonic() - self._began:.1f} s"
            self._say(f"  {self._title}  ({took})")
        self._title = ""
