"""The Docker engine that a privileged build uses: the one that jobs run on, if there is one."""

from __future__ import annotations

from pipeline.local.runner import choice

# As in a build without privileged mode: docker says that there is no daemon.
NONE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}


def variables() -> dict[str, str]:
    """DOCKER_HOST of the engine that answers."""
    engine = choice.engine()
    return {"DOCKER_HOST": engine.url} if engine else NONE
