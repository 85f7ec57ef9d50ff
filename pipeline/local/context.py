"""Process-wide facts of the running local target, set once when its server starts."""

from __future__ import annotations

from pathlib import Path

from pipeline.local.paths import StatePaths

_paths: StatePaths | None = None
_endpoint_url: str | None = None


def start(paths: StatePaths, endpoint_url: str) -> None:
    """Set the facts. Called by the server before any plug-in is loaded, and by tests of single plug-ins."""
    global _paths, _endpoint_url
    _paths, _endpoint_url = paths, endpoint_url


def paths() -> StatePaths:
    """All paths of the running target."""
    if _paths is None:
        raise RuntimeError("the local target's context is set by its server process; this is another process")
    return _paths


def root() -> Path:
    """The repository's folder."""
    return paths().root


def state_dir() -> Path:
    """`<root>/.pipeline/local`."""
    return paths().folder


def endpoint_url() -> str:
    """The AWS endpoint that this process serves, such as `http://127.0.0.1:40123`."""
    if _endpoint_url is None:
        raise RuntimeError("the local target's context is set by its server process; this is another process")
    return _endpoint_url
