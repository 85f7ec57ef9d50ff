"""How a program gets /opt/ml and /opt/program: real paths in private namespaces, or rewritten paths.

    namespace        root: mount and process namespaces of its own, nothing of the machine touched
    user-namespace   not root, but the kernel allows user namespaces: the same
    mapped           neither (macOS, hardened kernels): /opt/ml and /opt/program in the command and the
                     variables become folders of this machine and SAGEMAKER_BASE_DIR names the base

Each of the first two can cut a program off from every network, unless the kernel keeps that back (a
container without CAP_NET_ADMIN). What this machine can do is found once, by trying.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.local.runner.model import Program

LAUNCHER = Path(__file__).with_name("launch.py")
NAMESPACE, USER_NAMESPACE, MAPPED = "namespace", "user-namespace", "mapped"
DESCRIPTIONS = {
    NAMESPACE: "process runner, /opt/ml in a private mount namespace",
    USER_NAMESPACE: "process runner, /opt/ml in a private mount namespace of a user namespace",
    MAPPED: "process runner, /opt/ml mapped through SAGEMAKER_BASE_DIR",
}


def launch_command(spec: Mapping[str, Any]) -> list[str]:
    """The command line that starts `spec` (launch.py says what is in it)."""
    return [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(spec)]


def launch_spec(program: Program, command: list[str], isolation: str) -> dict[str, Any]:
    """What launch.py needs to start `program` with `command`, its paths already in the right shape."""
    binds = [[str(program.base), "/opt/ml", "rw"], [str(program.image), "/opt/program", "ro"]]
    binds += [[str(source), target, "ro"] for target, source in program.read_only.items()]
    staging = program.scratch / "opt"
    staging.mkdir(parents=True, exist_ok=True)
    return {
        "isolation": isolation,
        "parent": os.getpid(),
        "command": command,
        "workdir": str(program.image) if isolation == MAPPED else "/opt/program",
        "binds": [] if isolation == MAPPED else binds,
        "staging": str(staging),
        "network": program.network,
        "joins": program.network_of.pid if program.network_of else 0,
        "hosts": str(_hosts_file(program)) if program.hosts else "",
        "cores": program.cores,
    }


def _hosts_file(program: Program) -> Path:
    """What stands in for /etc/hosts: this machine's, and before it the hosts of the program's job."""
    own = Path("/etc/hosts")
    lines = [f"{address} {name}\n" for name, address in program.hosts.items()]
    path = program.scratch / "hosts"
    path.write_text(
        "".join(lines) + (own.read_text(encoding="utf-8") if own.is_file() else ""), encoding="utf-8"
    )
    return path


def map_paths(program: Program) -> None:
    """Make the read-only folders of a mapped program reachable below its base."""
    for target, source in program.read_only.items():
        place = program.base / Path(target).relative_to("/opt/ml")
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir() and not place.is_symlink():
            place.rmdir()
        place.unlink(missing_ok=True)
        place.symlink_to(source, target_is_directory=True)


def mapped(value: str, base: Path, image: Path) -> str:
    """`value` with a leading /opt/ml or /opt/program turned into this machine's folder."""
    for prefix, folder in (("/opt/ml", base), ("/opt/program", image)):
        if value == prefix or value.startswith(prefix + "/"):
            return str(folder) + value[len(prefix) :]
    return value


_probing = threading.RLock()


def isolation() -> str:
    """The best shape this machine allows, by trying each; tried once a process."""
    with _probing:
        return _isolation()


def cuts_networks(kind: str) -> bool:
    """Whether a program of this shape can be given a network of its own, with nobody in it; tried once."""
    with _probing:
        return _cuts_networks(kind)


@functools.cache
def _isolation() -> str:
    if sys.platform != "linux":
        return MAPPED
    kinds = (NAMESPACE, USER_NAMESPACE) if os.geteuid() == 0 else (USER_NAMESPACE,)
    return next((kind for kind in kinds if _works(kind)), MAPPED)


@functools.cache
def _cuts_networks(kind: str) -> bool:
    return kind != MAPPED and _works(kind, network=False)


def _works(kind: str, network: bool = True) -> bool:
    with tempfile.TemporaryDirectory(prefix="pipeline-runner-") as folder:
        base = Path(folder, "ml")
        base.mkdir()
        program = Program(
            name="probe",
            image=base,
            command=(),
            base=base,
            scratch=Path(folder, "scratch"),
            environment={},
            network=network,
        )
        spec = launch_spec(program, ["sh", "-c", "echo seen > /opt/ml/probe"], kind)
        # The write is what proves it: exit codes alone would also be 0 had nothing been mounted.
        subprocess.run(
            launch_command(spec),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
        return (base / "probe").exists()
