"""Checkpoints: the booster after each of the last rounds, under AWS's names, whole or absent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

KEPT = 5
_NAME = re.compile(r"xgboost-checkpoint\.(\d+)$")


def find(folder: Path) -> tuple[str, int, bytes]:
    """The newest checkpoint: name, rounds it has behind it, the booster; ("", 0, b"") without one."""
    if not folder.is_dir():
        return "", 0, b""
    found = sorted(
        (int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))
    )
    if not found:
        return "", 0, b""
    number, newest = found[-1]
    return newest.name, number + 1, newest.read_bytes()


def save(folder: Path, booster: Any, iteration: int) -> None:
    """Keep the booster as it is after round `iteration`, and no more than the last five of them."""
    if not folder.is_dir():
        return  # the job has no CheckpointConfig
    beside = folder / f".writing-{iteration}"
    beside.write_bytes(bytes(booster.save_raw("ubj")))
    beside.replace(folder / f"xgboost-checkpoint.{iteration}")
    (folder / f"xgboost-checkpoint.{iteration - KEPT}").unlink(missing_ok=True)
