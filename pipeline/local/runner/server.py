"""Start an image's `serve` and keep hold of it (endpoints)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from pipeline.local.runner import registry
from pipeline.local.runner.model import Log, Program, Runner, Running

SERVE = ("serve",)


class ServerProcess:
    """A running `serve`; its pid (of the supervising process), port, and how to end it."""

    def __init__(self, running: Running, port: int, folder: Path) -> None:
        self._running = running
        self.pid = running.pid
        self.port = port
        running.when_ended(lambda: shutil.rmtree(folder, ignore_errors=True))

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._running.alive()

    @property
    def exit_code(self) -> int | None:
        """Its exit code (128+N for signal N), None while it runs."""
        return self._running.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit code once it ended, None after `timeout` seconds."""
        return self._running.wait(timeout)

    def kill(self) -> None:
        """SIGKILL it and everything it started; blocks until nothing of it is left."""
        self._running.kill()
        self._running.wait(10.0)

    def terminate(self, grace: float = 30.0) -> int | None:
        """SIGTERM, after `grace` seconds SIGKILL; its exit code. Blocks until nothing of it is left."""
        self._running.signal_stop()
        if self._running.wait(grace) is None:
            self._running.kill()
        return self._running.wait(10.0)


def start_server(
    image_folder: Path,
    model_dir: Path,
    environment: Mapping[str, str],
    port: int,
    log: Log,
    *,
    name: str = "endpoint",
    command: tuple[str, ...] = SERVE,
    cores: int = 0,
    memory: int = 0,
    network: bool = True,
    runner: Runner | None = None,
) -> ServerProcess:
    """Run the image's `serve` with `model_dir` (the unpacked model) read-only at /opt/ml/model.

    It is told its port by SAGEMAKER_BIND_TO_PORT and its address by HOST (127.0.0.1 here; a container's
    default is every address of its own). Returns as soon as it is started: ask /ping for its health.
    `log` gets each line it prints, from a thread of its own.

    Raises:
        CannotStart: the image has nothing to run, or its requirements cannot be installed.
    """
    runner = runner or registry.current()
    folder = runner.workspace()
    base = folder / "ml"
    (base / "model").mkdir(parents=True)
    program = Program(
        name=name,
        image=image_folder,
        command=command,
        base=base,
        scratch=folder / "scratch",
        environment={
            **environment,
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "HOST": "127.0.0.1",
        },
        read_only={"/opt/ml/model": model_dir},
        cores=cores,
        memory=memory,
        network=network,
    )
    try:
        running = runner.start(program, log)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return ServerProcess(running, port, folder)
