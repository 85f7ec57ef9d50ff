"""Container folders as processes of this machine, for `pipeline container test`.

The local target's own way to run programs, behind the interface that the tests ask for.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from pipeline.conformance import start as starter
from pipeline.conformance.launching import Launch, Log, Unreachable
from pipeline.errors import CheckError
from pipeline.image import context_files
from pipeline.local.runner import CannotStart, Program, instances, mount, registry
from pipeline.local.runner import environment as environments
from pipeline.local.runner import image as images
from pipeline.local.runner.process import ProcessRunner, RunningProcess
from pipeline.local.sagemaker import netns
from pipeline.local.sagemaker import training_job_contract as contract

INSTANCE = "ml.m5.large"
# In a network namespace of its own a server may have any port.
_OWN_PORT = 18099
_ENDED_SECONDS = 10.0


def configure(request: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The files of /opt/ml/input/config and the variables, as the local target's training jobs get them."""
    whole = dict(request)
    arn = f"arn:aws:sagemaker:eu-west-1:111111111111:training-job/{whole['TrainingJobName']}"
    resources = instances.available(INSTANCE)
    files = {
        "hyperparameters": contract.hyperparameters(whole),
        "inputdataconfig": contract.input_data_config(whole),
        "resourceconfig": contract.resource_config(INSTANCE),
    }
    limits = instances.threads(resources)
    return files, {**limits, **contract.variables(whole, arn, INSTANCE, resources)}


class ProcessLauncher:
    """Runs a container folder's programs as processes; `launching.Launcher` says what each method does.

    Args:
        folder: the container folder.
        state: where environments (one for each requirements.lock) and running programs are kept.
    """

    def __init__(self, folder: Path, state: Path) -> None:
        self._folder = folder
        self._runner = ProcessRunner(state)
        self._environments = state / "environments"
        registry.use(self._runner, state / "conformance-processes")
        self._image = self.workspace()
        for relative, source in context_files(folder).items():
            target = self._image / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)

    def close(self) -> None:
        """Remove the copy of the container folder."""
        shutil.rmtree(self._image, ignore_errors=True)

    def describe(self) -> str:
        return self._runner.describe()

    def prepare(self) -> None:
        try:
            self._runner.prepare(self._image)
        except CannotStart as error:
            raise CheckError(
                f"the image's requirements cannot be installed: {error}", where=str(self._folder)
            ) from None

    def lacks(self, launch: Launch) -> str:
        if self._runner.isolation == mount.MAPPED:
            if not launch.network:
                return "this machine gives a process no network of its own; a container engine does"
            if launch.read_only_model:
                return "this machine gives a process no read-only mount; a container engine does"
            if launch.first:
                return "this machine gives a process no process ids of its own; a container engine does"
        if launch.user is not None and (os.geteuid() != 0 or self._runner.isolation == mount.USER_NAMESPACE):
            return "only root can start a process as another user; a container engine can, too"
        if launch.network and launch.port and _taken(launch.port):
            return f"port {launch.port} of this machine is taken"
        return ""

    def port(self, *, network: bool) -> int:
        if not network:
            return _OWN_PORT
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    def workspace(self) -> Path:
        # Not among the local target's: its server removes those when it starts.
        folder = Path(tempfile.mkdtemp(prefix="pipeline-conformance-"))
        folder.chmod(0o755)  # made for its owner only, which an unprivileged user is not
        return folder

    def start(self, launch: Launch, log: Log) -> StartedProcess:
        config = images.read(self._image)
        venv = environments.ensure(self._image, self._environments)
        how = {
            "first": launch.first,
            "user": launch.user,
            "needs": [sys.executable, str((venv / "bin" / "python3").resolve()), str(self._image)],
        }
        command = config.command_line(launch.command, replaces_entrypoint=False)
        listens = {"HOST": "127.0.0.1"} if launch.network else {}
        program = Program(
            name=f"conformance test of {self._folder.name}",
            image=self._image,
            command=(sys.executable, "-I", "-S", starter.__file__, json.dumps(how), *command),
            base=launch.base,
            scratch=launch.base.parent / "scratch",
            environment={**listens, **launch.environment},
            read_only={"/opt/ml/model": launch.base / "model"} if launch.read_only_model else {},
            entrypoint=True,
            network=launch.network,
        )
        return StartedProcess(self._runner, program, log)


class StartedProcess:
    """A program that ProcessLauncher started; `launching.Process` says what each method does."""

    def __init__(self, runner: ProcessRunner, program: Program, log: Log) -> None:
        self.refused = ""
        self.unable = ""
        self.notes = ""
        self._log = log
        self._network = program.network
        self._connector: netns.Connector | None = None
        self._running: RunningProcess = runner.start(program, self._line)

    def _line(self, line: str) -> None:
        if not line.startswith(starter.MARK):
            self._log(line)
            return
        told = line.removeprefix(starter.MARK)
        if told.startswith("refused: "):
            self.refused = told.removeprefix("refused: ")
        elif told.startswith("unable: "):
            self.unable = told.removeprefix("unable: ")
        else:
            self.notes = f" ({told})"

    def wait(self, timeout: float | None) -> int | None:
        return self._running.wait(timeout)

    def alive(self) -> bool:
        return self._running.alive()

    def terminate(self) -> None:
        self._running.signal_stop()

    def connect(self, port: int) -> socket.socket:
        try:
            if self._network:
                return socket.create_connection(("127.0.0.1", port), timeout=2.0)
            if self._connector is None:
                self._connector = netns.Connector(self._running.pid)
            return self._connector.connect(port)
        except OSError as error:
            raise Unreachable(str(error)) from None

    def ports(self) -> list[int]:
        try:
            if not self._network:
                return listening(self._running.pid)
            found = set()
            for child in psutil.Process(self._running.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    found |= {
                        c.laddr.port for c in child.net_connections("tcp") if c.status == psutil.CONN_LISTEN
                    }
            return sorted(found)
        except (OSError, psutil.Error):
            return []

    def changed(self) -> list[str] | None:
        return None

    def close(self) -> None:
        if self._connector is not None:
            self._connector.close()
            self._connector = None
        self._running.kill()
        self._running.wait(_ENDED_SECONDS)


def listening(pid: int) -> list[int]:
    """Ports on which anything listens in the network namespace of a process."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":  # LISTEN, in the kernel's table
                found.add(int(fields[1].rpartition(":")[2], 16))
    return sorted(found)


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def connector(pid: int) -> netns.Connector:
    """Connections to 127.0.0.1 in the network namespace of a process."""
    return netns.Connector(pid)
