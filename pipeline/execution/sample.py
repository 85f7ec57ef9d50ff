"""A pipeline's sample data: the folder in its definition, or what its make_sample.py makes, once for all.

Data that is not ours to hand on is not in the repository. `make_sample.py` fetches it from where it is
published, verified by checksum; it states its dependencies itself (PEP 723), which uv installs for it alone.
What it made is kept in the user's cache under the hash of the script, so a changed script makes it anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import caches
from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

SCRIPT = "make_sample.py"
# Written last: a sample without it is half made and is made anew.
MARKER = ".complete"
TOLD_LINES = 12


def folder(settings: Settings, say: Callable[[str], None]) -> Path:
    """The folder with one sub-folder a channel; made first if need be, which may fetch from the network.

    Raises:
        SettingsError: there is neither sample/ nor make_sample.py, or the script failed.
    """
    home = Path(settings.root) / "pipeline" / "definitions" / settings.name
    kept, script = home / "sample", home / SCRIPT
    if kept.is_dir():
        return kept
    if not script.is_file():
        raise SettingsError(
            "this pipeline has no sample data",
            where=str(home),
            hint=f"put it into {kept}/<channel>/, write {SCRIPT}, or give --from FOLDER",
        )
    made = caches.folder("samples") / f"{settings.name}-{_key(script)}"
    made.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{made}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (made / MARKER).exists():
            say(f"making the sample of {settings.name}, once: {script.relative_to(settings.root)}")
            shutil.rmtree(made, ignore_errors=True)
            try:
                _run(script, made, say)
            except BaseException:
                shutil.rmtree(made, ignore_errors=True)
                raise
            (made / MARKER).touch()
    return made


def _key(script: Path) -> str:
    return hashlib.sha256(script.read_bytes()).hexdigest()[:24]


def _run(script: Path, out: Path, say: Callable[[str], None]) -> None:
    # Credentials and the interpreter's settings are not the script's business; proxies and indexes are.
    own = ("AWS_", "PYTHON", "VIRTUAL_ENV", "UV_PROJECT")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment.setdefault("UV_SYSTEM_CERTS", "true")
    # Not the project around it: the script says itself what it needs.
    command = [sys.executable, "-m", "uv", "run", "--quiet", "--no-project", "--python", sys.executable]
    last: deque[str] = deque(maxlen=TOLD_LINES)
    with subprocess.Popen(
        [*command, "--script", str(script), "--out", str(out)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last.append(line.rstrip())
                say(f"  {line.rstrip()}")
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise SettingsError(
            f"{SCRIPT} ended with {process.returncode}: {_reason(last)}",
            where=str(script),
            hint="nothing was kept; run it again once the cause is gone, or give --from FOLDER",
        )


def _reason(lines: deque[str]) -> str:
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")
