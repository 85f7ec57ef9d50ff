"""Which runner programs get: `auto` takes containers where an engine can run them, else processes.

Chosen by `pipeline local up --runner`, else $PIPELINE_LOCAL_RUNNER, when the server starts; an engine that
comes or goes later is noticed. An image that was never built runs as a process in any case.
"""

from __future__ import annotations

import threading
import time

from pipeline.image import engine as engines
from pipeline.image.engine import Engine
from pipeline.local import options

# An engine is asked for at most so often.
_FRESH_SECONDS = 3.0

_guard = threading.Lock()
_found: Engine | None = None
_asked = 0.0


def kind() -> str:
    """`auto`, `container` or `process`, as this server was told."""
    return options.chosen(options.RUNNER)


def engine() -> Engine | None:
    """The engine that runs this server's containers; None when programs run as processes."""
    global _found, _asked
    if kind() == options.PROCESS:
        return None
    with _guard:
        if time.monotonic() - _asked > _FRESH_SECONDS:
            _found = _usable(_found)
            _asked = time.monotonic()
        return _found


def builds() -> bool:
    """Whether images are built here, so that a folder alone is none: an engine answers, or has to."""
    return kind() == options.CONTAINER or engine() is not None


def _usable(known: Engine | None) -> Engine | None:
    if known is not None:
        try:
            known.client.ping()
        except Exception:  # noqa: BLE001 - whatever it is, this engine does not answer
            known.client.close()
        else:
            return known
    found = engines.find()
    # Containers see this machine's loopback interface and folders only where they run on it.
    return found if found is not None and not found.elsewhere else None


def why_processes() -> str:
    """Why programs run as processes, for people; asked when `engine` gave none."""
    if kind() == options.PROCESS:
        return "asked for"
    other = engines.find()
    return f"{other} cannot: {other.elsewhere}" if other is not None else "no container engine answers"
