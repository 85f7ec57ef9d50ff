"""What the instance offers this container: processors and memory, with the limits of its control group."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def processors(environ: Mapping[str, str], cgroup: Path = CGROUP) -> int:
    """Processors to use: SM_NUM_CPUS, those this process may run on, the control group's quota; the least."""
    known = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    told = environ.get("SM_NUM_CPUS", "").strip()
    if told.isdigit() and int(told) > 0:
        known.append(int(told))
    quota, period = _quota(cgroup)
    if quota > 0 and period > 0:
        # Part of a processor is one: less than one cannot be used.
        known.append(max(1, quota // period))
    return max(1, min(known))


def memory(cgroup: Path = CGROUP, meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes of memory that can still be had, None where the machine does not say."""
    known = []
    for line in _text(meminfo).splitlines():
        if line.startswith("MemAvailable:"):
            known.append(int(line.split()[1]) * 1024)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = _text(cgroup / name).strip()
        if limit.isdigit():
            known.append(int(limit))
    return min(known) if known else None


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _quota(cgroup: Path) -> tuple[int, int]:
    fields = _text(cgroup / "cpu.max").split()
    if len(fields) != 2:
        fields = [_text(cgroup / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    return (int(fields[0]), int(fields[1])) if all(field.isdigit() for field in fields) else (0, 0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
