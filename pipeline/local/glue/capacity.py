"""What a number of workers is: DPUs on AWS, processors and memory here, bounded by this machine.

A DPU is 4 vCPUs and 16 GB (API reference, Job.WorkerType). On AWS one of the workers runs the driver, here
driver and executors are one process with as many threads as it may use processors.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

DPUS = {"G.025X": 0.25, "G.1X": 1.0, "G.2X": 2.0, "G.4X": 4.0, "G.8X": 8.0}
# G.025X is for streaming only in the console's words, yet the API takes it for Spark jobs: 2 vCPUs, 4 GB.
_VCPUS = {"G.025X": 2, "G.1X": 4, "G.2X": 8, "G.4X": 16, "G.8X": 32}
_GIB = {"G.025X": 4, "G.1X": 16, "G.2X": 32, "G.4X": 64, "G.8X": 128}

MEMORY_VARIABLE = "PIPELINE_LOCAL_GLUE_MEMORY_MB"
# Of all memory, and of what is free when a run starts: a second run may start beside it, and Python's
# workers are not in the heap.
_SHARE, _SHARE_OF_FREE = 0.25, 0.5
LEAST_MB = 512  # Spark refuses to start with less than 450 MiB


@dataclass(frozen=True)
class Capacity:
    """What a run gets on this machine.

    Args:
        cores: threads of Spark.
        memory_mb: its heap.
        told: for people: what AWS would give, and what it is here.
    """

    cores: int
    memory_mb: int
    told: str


def dpus(worker_type: str, workers: int) -> float:
    """DPUs of so many workers: MaxCapacity, and what AWS bills by."""
    return DPUS[worker_type] * workers


def here(worker_type: str, workers: int) -> Capacity:
    """The workers, bounded by what this machine has and has free."""
    cores, memory = _VCPUS[worker_type] * workers, _GIB[worker_type] * workers * 1024
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    total, free = _memory_mb()
    most = int(min(total * _SHARE, free * _SHARE_OF_FREE))
    with contextlib.suppress(KeyError, ValueError):
        most = int(os.environ[MEMORY_VARIABLE])
    got = Capacity(min(cores, mine), max(LEAST_MB, min(memory, most)), "")
    told = (
        f"{workers} x {worker_type} are {cores} vCPUs and {memory // 1024} GB on AWS; here: {got.cores} "
        f"{'core' if got.cores == 1 else 'cores'} and a heap of {got.memory_mb} MiB"
    )
    return Capacity(got.cores, got.memory_mb, told)


def _memory_mb() -> tuple[int, int]:
    """All memory and what could be had now, of this machine or of the control group around this process."""
    known = psutil.virtual_memory()
    total, free = known.total, known.available
    root = Path("/sys/fs/cgroup")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):
            mine = int((root / limit).read_text())
            total, free = min(total, mine), min(free, mine - int((root / used).read_text()))
    return total // 2**20, max(0, free) // 2**20
