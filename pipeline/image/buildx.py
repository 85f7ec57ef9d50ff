"""Build with BuildKit through `docker buildx`, its layer cache inside the images that the registry holds.

Taken where it is: with it a fresh machine reuses the layers of the last image pushed, and an engine that
keeps images in containerd makes the kind of manifest that SageMaker runs (docs/decisions/0022).
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from pipeline.errors import TargetError
from pipeline.image.engine import Engine, spoken
from pipeline.image.login import Login

Say = Callable[[str], None]
_TAIL_LINES = 15
_WIDTH = 88
_HELPER = "ml-pipeline"
# `#9 [build 4/4] RUN ...`, `#9 DONE 7.8s`, `#9 CACHED`, `#9 2.543 what it printed`.
_EVENT = re.compile(r"^#(?P<vertex>\d+) (?P<rest>.*)$")
_TITLE = re.compile(r"^\[(?!internal\]|auth\])[^\]]*\d+/\d+\] ")
_DONE = re.compile(r"^DONE (?P<seconds>[\d.]+)s$")
# What stands before the cause in the command's last line.
_CHAIN = re.compile(r"^ERROR: (?:failed to build: )?(?:failed to solve: )?")
# What it says when the engine is not there any more.
_GONE = ("Cannot connect to the Docker daemon", "error reading from server: EOF", "connection reset by peer")
_PRINTED = re.compile(r"^[\d.]+ (?P<line>.*)$")


@dataclass(frozen=True)
class Cache:
    """Where layers may come from: an image that was built with its cache, and who may read it.

    Args:
        reference: `<host>/<repository>:<tag>`.
    """

    reference: str
    login: Login


def usable(engine: Engine) -> bool:
    """Whether docker's command line has buildx and this engine has BuildKit; DOCKER_BUILDKIT=0 says no."""
    return not engine.podman and os.environ.get("DOCKER_BUILDKIT") != "0" and _present()


@functools.cache
def _present() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    command = [docker, "buildx", "version"]
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0


def build(
    engine: Engine,
    context: IO[bytes],
    name: str,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    platform: str | None,
    cache: Cache | None,
    say: Say,
) -> tuple[str, Failure | None]:
    """Build the tar `context`; (the image's id, None), or ("", why not).

    Raises:
        TargetError: the engine went away.
    """
    command = ["docker", "buildx", "build", "--builder", "default", "--progress", "plain", "--tag", name]
    # Docker's own media types, one plain manifest: SageMaker runs nothing else.
    command += ["--provenance=false", "--output", "type=docker,oci-mediatypes=false"]
    # The cache's description is part of the image: no second tag, which would have to be mutable.
    command += ["--cache-to", "type=inline"]
    command += ["--platform", platform] if platform else []
    command += _network(engine)
    command += [word for each in arguments.items() for word in ("--build-arg", "=".join(each))]
    command += [word for each in labels.items() for word in ("--label", "=".join(each))]
    if cache is not None:
        command += ["--cache-from", f"type=registry,ref={cache.reference}"]
    with _environment(engine, cache) as environment:
        failure = _run([*command, "-"], context, environment, say)
    if failure is not None:
        if any(text in failure.error for text in _GONE):
            raise TargetError(
                f"the engine went away while building: {failure.error}",
                where=str(engine),
                hint="start it again (see `docker info`), then run the same command: what was done is kept",
            )
        return "", failure
    with spoken("building", engine):
        return str(engine.client.images.get(name).id), None


@dataclass(frozen=True)
class Failure:
    """A build that failed: at which step, why, and what that step had printed."""

    step: str
    error: str
    printed: tuple[str, ...]


def _run(
    command: Sequence[str], context: IO[bytes], environment: Mapping[str, str], say: Say
) -> Failure | None:
    process = subprocess.Popen(
        command,
        stdin=context,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dict(environment),
        text=True,
        errors="replace",
    )
    try:
        assert process.stderr is not None
        failure = follow(process.stderr, say)
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if code == 0:
        return None
    return failure if failure.error else replace(failure, error=f"docker buildx ended with code {code}")


def follow(lines: Iterable[str], say: Say) -> Failure:
    """Tell a build's steps as they end; what failed, without an error where nothing said so."""
    titles: dict[str, str] = {}
    printed: dict[str, deque[str]] = {"": deque(maxlen=_TAIL_LINES)}
    failed = error = ""
    for line in (each.rstrip() for each in lines):
        found = _EVENT.match(line)
        if found is None:
            if line.startswith("ERROR: "):
                error = _CHAIN.sub("", line)
            elif line:
                printed[""].append(line)
            continue
        vertex, rest = found["vertex"], found["rest"]
        if vertex not in titles:
            titles[vertex] = " ".join(rest.split()) if _TITLE.match(rest) else ""
            printed[vertex] = deque(maxlen=_TAIL_LINES)
        done, output = _DONE.match(rest), _PRINTED.match(rest)
        if not titles[vertex]:
            continue  # the build's own affairs, or a step that was told
        if rest.startswith("ERROR: "):
            failed, error = vertex, rest.removeprefix("ERROR: ")
        elif done or rest == "CACHED":
            say(
                f"  {titles[vertex][:_WIDTH]}  ({done['seconds']} s)"
                if done
                else f"  {titles[vertex][:_WIDTH]}  (cached)"
            )
            titles[vertex] = ""
        elif output:
            printed[vertex].append(output["line"])
    return Failure(titles.get(failed, "").partition("]")[0].lstrip("["), error, tuple(printed[failed]))


def _network(engine: Engine) -> list[str]:
    """An engine without a bridge network builds on the machine's own, as its containers run."""
    with spoken("looking at its networks", engine):
        bridges = engine.client.networks.list(names=["bridge"])
    return [] if any(each.name == "bridge" for each in bridges) else ["--network", "host"]


@contextmanager
def _environment(engine: Engine, cache: Cache | None) -> Iterator[dict[str, str]]:
    """The command's environment: this engine, no AWS credentials, and the registry's token in memory alone.

    Docker's command line takes a login from its configuration or from a helper program that this names; the
    helper is one that prints what stands in its environment. The rest of the user's configuration stays.
    """
    given = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    given["DOCKER_HOST"] = engine.url
    given.pop("DOCKER_CONTEXT", None)
    if cache is None:
        yield given
        return
    own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    host = cache.reference.partition("/")[0]
    with tempfile.TemporaryDirectory(prefix="docker-config-") as folder:
        place = Path(folder)
        for each in own.iterdir() if own.is_dir() else ():
            if each.name != "config.json":
                (place / each.name).symlink_to(each)
        file = place / "config.json"
        file.touch(0o600)
        file.write_text(json.dumps(_configured(own / "config.json", host)), encoding="utf-8")
        helper = place / f"docker-credential-{_HELPER}"
        helper.write_text('#!/bin/sh\nprintf "%s" "$PIPELINE_REGISTRY_LOGIN"\n', encoding="utf-8")
        helper.chmod(0o700)
        answer = {"ServerURL": host, "Username": cache.login.username, "Secret": cache.login.password}
        given |= {
            "DOCKER_CONFIG": folder,
            "PATH": f"{folder}{os.pathsep}{given.get('PATH', os.defpath)}",
            "PIPELINE_REGISTRY_LOGIN": json.dumps(answer),
        }
        yield given


def _configured(own: Path, host: str) -> dict[str, object]:
    try:
        found = json.loads(own.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    return {**found, "credHelpers": {**(found.get("credHelpers") or {}), host: _HELPER}}
