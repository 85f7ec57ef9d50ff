"""A shell that lives through many commands: a `cd` or an `export` of one holds for the next."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.local.runner import launch
from pipeline.local.runner.process import spawn

Log = Callable[[str], None]
CHANNEL = 9


class Shell:
    """One process of `name` (sh or bash); a context manager that ends it and all it started.

    Args:
        folder: where it begins.
        log: takes each line of output, stdout and stderr as they come.
    """

    def __init__(self, name: str, folder: Path, variables: Mapping[str, str], log: Log) -> None:
        reading, writing = os.pipe()
        # The launcher takes along all that it started when its parent ends, however that ends.
        orders = {
            "isolation": "mapped",
            "parent": os.getpid(),
            "command": [name],
            "workdir": str(folder),
            "cores": 0,
        }
        self._process = spawn(
            lambda: subprocess.Popen(
                [sys.executable, "-I", "-S", launch.__file__, json.dumps(orders)],
                cwd=folder,
                env=dict(variables),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # Python's own descriptors close by themselves; sh knows no number above 9.
                close_fds=False,
                preexec_fn=lambda: os.dup2(writing, CHANNEL),
                start_new_session=True,
            )
        )
        os.close(writing)
        self._codes = os.fdopen(reading, "r")
        self._reader = threading.Thread(target=self._read, args=(log,), daemon=True)
        self._reader.start()

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End it and all it started, at once; safe from any thread, and more than once."""
        self._process.send_signal(signal.SIGUSR1)

    def run(self, command: str) -> int:
        """The exit code of a command; of `exit`, the shell's own."""
        packed = base64.b64encode(command.encode()).decode()
        # The text is decoded by the shell, so no quote in it means anything on the way.
        line = f'eval "$(printf %s {packed} | base64 -d)" </dev/null; echo "$?" >&{CHANNEL}\n'
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        code = self._codes.readline().strip()
        return int(code) if code else self._process.wait()

    def _read(self, log: Log) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            log(line.decode(errors="replace").rstrip("\n"))

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self.kill()
        self._process.wait()
        self._reader.join(5)
        self._codes.close()
