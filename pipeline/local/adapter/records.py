"""Seam: records of our own services, which a stack's change writes at once: kept with it, or taken back."""

from __future__ import annotations

from typing import Any

from pipeline.local.api.store import Store
from pipeline.local.codebuild.store import store as codebuild
from pipeline.local.glue.store import store as glue
from pipeline.local.sagemaker.store import store as sagemaker

_STORES: dict[str, Store[Any]] = {"sagemaker": sagemaker, "glue": glue, "codebuild": codebuild}


def mark() -> dict[str, int]:
    """How far each service's record of changes has come."""
    return {name: store.undo.size(store.root()) for name, store in _STORES.items()}


def forget(mark: Any) -> None:
    """The changes up to a mark are kept; None is none, and a number is SageMaker's of an earlier version."""
    marks = {"sagemaker": mark} if isinstance(mark, int) else mark or {}
    for name, size in marks.items():
        if name in _STORES:
            _STORES[name].undo.forget(_STORES[name].root(), size)


def roll_back() -> int:
    """Put back what no mark has kept; how many records that were. Before the first read of any."""
    return sum(store.undo.roll_back(store.root()) for store in _STORES.values())
