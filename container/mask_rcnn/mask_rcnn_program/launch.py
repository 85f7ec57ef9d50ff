"""`train`: in this process, or by torchrun in several, on the hosts that SageMaker's resourceconfig names.

Every host runs the same program. With several of them, or several GPUs, it starts torchrun with the hosts
that SageMaker names, the first as the place to meet; torchrun starts this program again, once a GPU (once
where there is none), with the variables by which the processes find each other.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from types import FrameType

from script_mode import Folders, ProgramError, Stopped, run_program
from script_mode import main as in_this_process

# Below the ports that the kernel hands out by itself.
_PORTS = range(20_000, 30_000)


def main() -> int:
    """Run training.py; return the exit code."""
    folders = Folders.from_environment()
    if os.environ.get("TORCHELASTIC_RUN_ID"):
        return in_this_process("training")
    code = 0

    def start() -> None:
        nonlocal code
        hosts, rank = cluster(folders)
        processes = gpus()
        if len(hosts) * max(1, processes) == 1:
            code = in_this_process("training")
            return
        print(f"torchrun: host {rank + 1} of {len(hosts)}, {max(1, processes)} processes on each", flush=True)
        _torchrun(command(hosts, rank, max(1, processes)), folders)

    return run_program(start, folders.failure) or code


def cluster(folders: Folders) -> tuple[list[str], int]:
    """The hosts in their order, and which of them this is. Raises ProgramError if it is none of them."""
    resources = folders.read_config("resourceconfig.json")
    hosts = sorted(resources.get("hosts") or ["algo-1"], key=_number)
    current = resources.get("current_host") or hosts[0]
    if current not in hosts:
        raise ProgramError(f"resourceconfig.json: current_host {current} is none of {', '.join(hosts)}")
    return hosts, hosts.index(current)


def _number(host: str) -> tuple[int, str]:
    """algo-2 before algo-10."""
    digits = host.rpartition("-")[2]
    return (int(digits) if digits.isdigit() else 0, host)


def gpus() -> int:
    """GPUs of this host, without loading PyTorch."""
    given = os.environ.get("SM_NUM_GPUS", "")
    return int(given) if given.isdigit() else len(list(Path("/dev").glob("nvidia[0-9]*")))


def port(job: str) -> int:
    """The port to meet at: one for all hosts of a job, hardly ever that of another job on this machine."""
    return _PORTS[zlib.crc32(job.encode()) % len(_PORTS)]


def command(hosts: list[str], rank: int, processes: int) -> list[str]:
    """torchrun's command line for this host."""
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        f"--nnodes={len(hosts)}",
        f"--nproc-per-node={processes}",
        f"--node-rank={rank}",
        f"--master-addr={hosts[0]}",
        f"--master-port={port(os.environ.get('TRAINING_JOB_NAME', ''))}",
        # A process that failed fails the job: SageMaker starts it again, from the checkpoint.
        "--max-restarts=0",
        str(Path(sys.argv[0]).resolve()),
    ]


def _torchrun(words: list[str], folders: Folders) -> None:
    """Run torchrun to its end. Raises ProgramError with what a process of it said, or Stopped."""
    was_told = False
    process: subprocess.Popen[bytes] | None = None

    def forward(_number: int, _frame: FrameType | None) -> None:
        nonlocal was_told
        was_told = True
        if process is not None:
            process.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, forward)
    process = subprocess.Popen(words)
    if was_told:
        process.send_signal(signal.SIGTERM)
    code = process.wait()
    if was_told:
        raise Stopped("stopped by SIGTERM")
    if code == 0:
        return
    said = folders.failure.read_text(encoding="utf-8") if folders.failure.is_file() else ""
    raise ProgramError(
        said or f"torchrun ended with exit code {code}; a process of this host or another failed"
    )
