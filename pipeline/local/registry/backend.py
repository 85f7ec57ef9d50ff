"""The registry process behind the front: Debian's docker-registry where there is one, else our small one.

Started by the first push or pull, as a child that ends with the server. One that died is started again by
the next request; what was pushed lies in its folder either way. The two keep their files differently, so
each has a folder of its own and a folder once begun with is gone on with.
"""

from __future__ import annotations

import json
import logging
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from pipeline.local import processes
from pipeline.local.runner.process import spawn

logger = logging.getLogger("pipeline.local.registry")

_START_SECONDS = 20.0
_ATTEMPTS = 3
# Debian's name, then upstream's.
_PROGRAMS = ("docker-registry", "registry")
# The kernel ends it with the server, also where that is killed (1 is PR_SET_PDEATHSIG).
_DIE_WITH_PARENT = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


class CannotServe(Exception):
    """The registry process does not come up; the message holds its last words."""


class Backend:
    """The registry process of one local target.

    Args:
        folder: for its data and configuration.
        records: where child processes are noted (`StatePaths.processes`).
        secret: signs upload sessions, so that they survive a restart of the process.
    """

    def __init__(self, folder: Path, records: Path, secret: str) -> None:
        self._folder = folder
        self._records = records
        self._secret = secret
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def port(self) -> int:
        """Its port on 127.0.0.1; starts it if need be. Blocks until it accepts connections.

        Raises:
            CannotServe: it does not start.
        """
        with self._guard:
            if self._process is None or self._process.poll() is not None:
                self._start()
            return self._port

    def stop(self) -> None:
        """End it, if it runs."""
        with self._guard:
            process, self._process = self._process, None
            if process is None:
                return
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            processes.forget(self._records, process.pid)

    def _start(self) -> None:
        if self._process is not None:
            logger.warning("the registry ended (exit code %s); starting it again", self._process.returncode)
            processes.forget(self._records, self._process.pid)
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "registry.log"
        for _ in range(_ATTEMPTS):
            self._port = _free_port()
            with log.open("wb") as stream:
                self._process = self._spawn(self._command(), stream)
            processes.record(self._records, self._process.pid, "registry")
            if self._accepts():
                logger.info("the registry listens on 127.0.0.1:%d", self._port)
                return
            self._process.kill()
            self._process.wait()
            processes.forget(self._records, self._process.pid)
        self._process = None
        said = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
        raise CannotServe("; ".join(said) or "it does not listen")

    def _spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, *command]
        return spawn(
            lambda: subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )

    def _command(self) -> list[str]:
        ours = self._folder / "small"
        program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
        if program is None or ours.is_dir():
            ours.mkdir(exist_ok=True)
            module = "pipeline.local.registry.small"
            return [sys.executable, "-m", module, "--folder", str(ours), "--port", str(self._port)]
        data = self._folder / "distribution"
        configuration = self._folder / "registry.json"
        configuration.touch(0o600)
        # It reads YAML, of which JSON is a part.
        configuration.write_text(json.dumps(_configuration(data, self._port, self._secret)))
        return [program, "serve", str(configuration)]

    def _accepts(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return True
        return False


def _configuration(data: Path, port: int, secret: str) -> dict[str, object]:
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(data)}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": secret, "relativeurls": True},
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
