"""A local target of its own for one smoke run: made under .pipeline/smoke, and always taken away again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import local
from pipeline.aws import Clients, Credentials, Target, connect
from pipeline.local import processes

if TYPE_CHECKING:
    from pipeline.plan.report import Smoke
    from pipeline.settings.model import Settings

OWNER = "owner.json"
# What the target's server looks for in a repository: its own code, and the containers' sources.
LINKED = ("pipeline", "container", "pipeline.toml", "requirements.lock", "cloudformation", "glue_scripts")
Say = Callable[[str], None]


def smoke(settings: Settings, say: Say) -> Smoke:
    """A whole run on the sample data, in a target that is gone when this returns (or is interrupted)."""
    from pipeline.execution.smoke import smoke as run

    with target(settings) as clients:
        return run(settings, clients, say)


@contextlib.contextmanager
def target(settings: Settings) -> Iterator[Clients]:
    """Clients of a fresh local target in the account and region of `settings`.

    SIGTERM and SIGHUP end it as Ctrl-C does. One whose command was killed is removed by the next.
    """
    places = Path(settings.root) / ".pipeline" / "smoke"
    places.mkdir(parents=True, exist_ok=True)
    with _terminable():
        _sweep(places)
        root = Path(tempfile.mkdtemp(dir=places)).resolve()
        try:
            pid = os.getpid()
            (root / OWNER).write_text(json.dumps({"pid": pid, "started": processes.start_time(pid)}))
            for name in LINKED:
                source = Path(settings.root) / name
                if source.exists():
                    (root / name).symlink_to(source.resolve())
            server = local.ensure_up(root)
            account, region = settings.environment.account, settings.environment.region
            credentials = Credentials(account, "local")
            yield connect(Target("local", server.endpoint_url, region, account, credentials))
        finally:
            _remove(root)


def _remove(root: Path) -> None:
    # A second Ctrl-C while this clears up would leave a server behind that nobody knows of.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        local.down(root)
        shutil.rmtree(root, ignore_errors=True)
    finally:
        signal.signal(signal.SIGINT, before)


def _sweep(places: Path) -> None:
    """Remove what killed commands left; those of commands that live stay."""
    for root in places.iterdir():
        try:
            owner: dict[str, Any] = json.loads((root / OWNER).read_text())
            alive = processes.is_alive(int(owner["pid"]), float(owner["started"]))
        except (OSError, ValueError, KeyError, TypeError):
            # Just made, by a command that is about to write who it is; or killed in that moment.
            alive = not (root / ".pipeline").exists() and not (root / OWNER).exists()
        if not alive:
            _remove(root)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
