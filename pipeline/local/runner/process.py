"""The process runner: an image's program as a process of this machine, guarded so that none is left."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import IO

from pipeline import caches
from pipeline.local import processes
from pipeline.local.runner import environment, image, mount, registry
from pipeline.local.runner.lines import Lines
from pipeline.local.runner.model import CannotStart, Log, Program

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class _Spawner:
    """One thread that makes every process.

    The kernel's parent-death signal fires at the end of the *thread* that forked, so a process made
    by a job's thread would die with that thread.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future]] = (
            queue.SimpleQueue()
        )
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def run(self, make: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._guard:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._loop, name="runner-spawner", daemon=True)
                self._thread.start()
        future: Future[subprocess.Popen[bytes]] = Future()
        self._work.put((make, future))
        return future.result()

    def _loop(self) -> None:
        while True:
            make, future = self._work.get()
            try:
                future.set_result(make())
            except BaseException as error:  # noqa: BLE001 - it belongs to the caller, who gets it
                future.set_exception(error)


_spawner = _Spawner()


def spawn(make: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Call `make` in the one thread that makes processes, which lives as long as the server."""
    return _spawner.run(make)


class RunningProcess:
    """A program started by launch.py; `model.Running` says what each method does."""

    def __init__(self, popen: subprocess.Popen[bytes], name: str, log: Log, isolation: str) -> None:
        self._popen = popen
        self._isolation = isolation
        self.pid = popen.pid
        self.name = name
        self.oom = False
        self.lost = ""
        self._log = log
        self._ended = threading.Event()
        self._guard = threading.Lock()
        self._calls: list[Callable[[], None]] = []
        self._code: int | None = None
        self._thread = threading.Thread(target=self._follow, name=f"follow-{name}", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as stream:
            read_lines(stream, self._log)
        code = self._popen.wait()
        # The launcher itself was killed: what it stood for was killed with it.
        self._code = 128 - code if code < 0 else code
        registry.forget(self)
        with self._guard:
            self._ended.set()
            calls = list(self._calls)
        for call in calls:
            call()

    def wait(self, timeout: float | None = None) -> int | None:
        return self._code if self._ended.wait(timeout) else None

    def alive(self) -> bool:
        return not self._ended.is_set() and self._popen.poll() is None

    def signal_stop(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        # In a namespace the kernel takes the rest along; without, the launcher does when told so.
        self._signal(signal.SIGUSR1 if self._isolation == mount.MAPPED else signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(number)  # does nothing once its end was seen

    def when_ended(self, call: Callable[[], None]) -> None:
        with self._guard:
            if not self._ended.is_set():
                self._calls.append(call)
                return
        call()


def read_lines(stream: IO[bytes], log: Log) -> None:
    """Give `log` each line of `stream` as it comes, until its end."""
    lines = Lines(log)
    while chunk := os.read(stream.fileno(), 65536):
        lines.feed(chunk)
    lines.end()


class ProcessRunner:
    """Runs programs as processes; `model.Runner` says what each method does."""

    def __init__(self, state: Path, isolation: str | None = None) -> None:
        self._environments = caches.folder("environments")
        self._running = state / "running"
        self._isolation = isolation

    @property
    def isolation(self) -> str:
        """`namespace`, `user-namespace` or `mapped`."""
        return self._isolation or mount.isolation()

    def describe(self, image: Path | None = None) -> str:  # noqa: ARG002 - the same for all
        return mount.DESCRIPTIONS[self.isolation]

    def can_isolate_network(self) -> bool:
        return mount.cuts_networks(self.isolation)

    def can_name_hosts(self) -> bool:
        return self.isolation != mount.MAPPED

    def workspace(self) -> Path:
        self._running.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._running))

    def discard_leftovers(self) -> None:
        """Remove the workspaces of an earlier server; for its start, before any program runs."""
        shutil.rmtree(self._running, ignore_errors=True)

    def prepare(self, image: Path) -> None:
        environment.ensure(image, self._environments)

    def start(self, program: Program, log: Log) -> RunningProcess:
        venv = environment.ensure(program.image, self._environments)
        config = image.read(program.image)
        command = config.command_line(program.command, program.entrypoint)
        if not command:
            raise CannotStart("No command specified: the image has neither ENTRYPOINT nor CMD.")
        variables = self._variables(program, config, venv)
        if self.isolation == mount.MAPPED:
            mount.map_paths(program)
            command = [mount.mapped(word, program.base, program.image) for word in command]
            variables = {
                name: mount.mapped(value, program.base, program.image) for name, value in variables.items()
            }
            variables["SAGEMAKER_BASE_DIR"] = str(program.base)
            # Without a namespace a program that detaches itself is found by this alone.
            variables.update(
                {name: os.environ[name] for name in (processes.OWNER_VARIABLE,) if name in os.environ}
            )
        spec = mount.launch_spec(program, command, self.isolation)
        # Best effort: whether that is good enough is asked before (sagemaker.isolation).
        spec["network"] = program.network or not self.can_isolate_network()
        popen = spawn(
            lambda: subprocess.Popen(
                mount.launch_command(spec),
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )
        running = RunningProcess(popen, program.name, log, self.isolation)
        registry.remember(running)
        return running

    def _variables(self, program: Program, config: image.ImageConfig, venv: Path) -> dict[str, str]:
        # A container inherits nothing of its host, and neither does this.
        home = program.scratch / "home"
        temporary = program.scratch / "tmp"
        for folder in (home, temporary):
            folder.mkdir(parents=True, exist_ok=True)
        programs = str(program.image) if self.isolation == mount.MAPPED else "/opt/program"
        path = [str(venv / "bin"), programs, SYSTEM_PATH]
        return {
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "TMPDIR": str(temporary),
            # Lines are wanted as they are printed; an image that says otherwise has its way.
            "PYTHONUNBUFFERED": "1",
            **config.environment,
            **program.environment,
            "PATH": os.pathsep.join(path),
        }
