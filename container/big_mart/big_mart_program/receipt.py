"""transform.json: what a transform's program left, written last. Without it nothing of that is used again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from script_mode import write_atomically

FILE = "transform.json"


def write(output: Path, rows: Mapping[str, int]) -> None:
    """Write it, of all files in the datasets' folders.

    Args:
        output: /opt/ml/processing/output.
        rows: dataset, which is a folder of that -> its rows.
    """
    datasets = {}
    for name, count in rows.items():
        files = sorted(path for path in (output / name).rglob("*") if path.is_file())
        sizes = {path.relative_to(output).as_posix(): path.stat().st_size for path in files}
        datasets[name] = {"rows": count, "files": sizes}
    write_atomically(output / FILE, json.dumps({"datasets": datasets}, indent=2) + "\n")
