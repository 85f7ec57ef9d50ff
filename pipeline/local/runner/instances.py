"""What an instance type would give a program, bounded by what this machine has.

Processors follow the size's name (EC2: xlarge is 4, Nxlarge is 4 times N, large and medium are 2, medium of
Graviton 1), memory follows the family (c 2 GiB a processor, r 8, others 4); those that break the rules, and
those with accelerators, are written out. Held against EC2's own list of instance types.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

# Families whose processors do not follow the name: vCPUs by size.
_CPUS = {
    "c4.8xlarge": 36,
    "c5.9xlarge": 36,
    "c5.18xlarge": 72,
    "c5n.9xlarge": 36,
    "c5n.18xlarge": 72,
    "p5.4xlarge": 16,
    "trn1.2xlarge": 8,
    "trn1.32xlarge": 128,
    "trn1n.32xlarge": 128,
    "trn2.48xlarge": 192,
}
# GiB a processor, by family, where the family's letter does not tell.
_MEMORY = {
    "c4": 1.875,
    "c5n": 2.625,
    "g6e": 8,
    "g7e": 8,
    "inf1": 2,
    "p2": 15.25,
    "p3": 7.625,
    "p3dn": 8,
    "p4d": 12,
    "p4de": 12,
    "p5": 10.667,
    "p5e": 10.667,
    "p5en": 10.667,
    "trn2": 10.667,
}
_BY_LETTER = {"c": 2, "r": 8}
_GRAVITON = re.compile(r"[a-z]\d+g")
_ONE_GPU_SIZES = ("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")
_GPUS = {
    **{f"{family}.{size}": 1 for family in ("g4dn", "g5", "g6", "g6e") for size in _ONE_GPU_SIZES},
    **{f"{family}.12xlarge": 4 for family in ("g4dn", "g5", "g6", "g6e")},
    **{f"{family}.24xlarge": 4 for family in ("g5", "g6", "g6e")},
    **{f"{family}.48xlarge": 8 for family in ("g5", "g6", "g6e")},
    "p2.xlarge": 1,
    "p2.8xlarge": 8,
    "p2.16xlarge": 16,
    "p3.2xlarge": 1,
    "p3.8xlarge": 4,
    "p3.16xlarge": 8,
    "p3dn.24xlarge": 8,
    "p4d.24xlarge": 8,
    "p4de.24xlarge": 8,
    "p5.48xlarge": 8,
    "p5e.48xlarge": 8,
    "p5en.48xlarge": 8,
}


@dataclass(frozen=True)
class Resources:
    """Processors and GPUs that a program may use here."""

    cpus: int
    gpus: int


def nominal(instance_type: str) -> Resources:
    """What AWS gives `ml.<family>.<size>`."""
    name = instance_type.removeprefix("ml.")
    size = name.partition(".")[2]
    if name in _CPUS:
        cpus = _CPUS[name]
    elif size.endswith("xlarge"):
        cpus = 4 * int(size.removesuffix("xlarge") or 1)
    elif size == "medium" and _GRAVITON.match(name):
        cpus = 1
    else:
        cpus = 2
    return Resources(cpus, _GPUS.get(name, 0))


def memory(instance_type: str) -> int:
    """Bytes of memory that AWS gives `ml.<family>.<size>`."""
    name = instance_type.removeprefix("ml.")
    family, _, size = name.partition(".")
    if family in ("t2", "t3") and size == "medium":
        a_processor = 2.0
    else:
        a_processor = _MEMORY.get(family, _BY_LETTER.get(family[:1], 4))
    return int(nominal(instance_type).cpus * a_processor * 2**30)


def available(instance_type: str, count: int = 1) -> Resources:
    """`nominal`, bounded by a host's share of this machine where `count` hosts of a job are on it."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    wanted = nominal(instance_type)
    return Resources(min(wanted.cpus, max(1, mine // count)), min(wanted.gpus, gpus // count))


def threads(resources: Resources) -> dict[str, str]:
    """Variables by which the numeric libraries size their thread pools."""
    count = str(resources.cpus)
    return {
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "NUMEXPR_NUM_THREADS": count,
    }
