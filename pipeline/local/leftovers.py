"""Containers of a server that is gone: found by their label, with the engine that it noted.

Used by the server and, when it was killed, by the command that stops or starts it again. A state folder
that never had a container costs nothing: there is no note, and docker is not even imported.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger("pipeline.local.runner")

LABEL = "pipeline.local.state"
_NOTE = "containers.json"
_SECONDS = 20


def note(state: Path, url: str) -> None:
    """Write down which engine has containers of this state folder."""
    path = state / _NOTE
    known = _noted(path)
    if url not in known:
        path.write_text(json.dumps(sorted({*known, url})))


def remove(state: Path) -> int:
    """Remove all containers that servers of this state folder started; how many. Call when none runs."""
    path = state / _NOTE
    gone = 0
    left = []
    for url in _noted(path):
        try:
            gone += _remove(url, state)
        except Exception as error:  # noqa: BLE001 - an engine that does not answer runs nothing we could end
            logger.debug("containers at %s: %s", url, error)
            left.append(url)
    if left:
        path.write_text(json.dumps(left))
    else:
        path.unlink(missing_ok=True)
    return gone


def remove_container(container: Any) -> bool:
    """Remove one container with its anonymous volumes. False: the engine did not, so it stays for now."""
    from docker.errors import NotFound

    try:
        container.remove(force=True, v=True)
    except NotFound:
        return True
    except Exception as error:  # noqa: BLE001 - `remove` finds it by its label later
        logger.debug("container %s stays for now: %s", container.id, error)
        return False
    return True


def _noted(path: Path) -> list[str]:
    try:
        return [str(url) for url in json.loads(path.read_text())]
    except (OSError, ValueError):
        return []


def _remove(url: str, state: Path) -> int:
    import docker

    client = docker.DockerClient(base_url=url, version="auto", timeout=_SECONDS)
    try:
        found = client.containers.list(
            all=True, filters={"label": f"{LABEL}={state}"}, ignore_removed=True, sparse=True
        )
        for container in found:
            remove_container(container)
        return len(found)
    finally:
        client.close()
