"""Loads what `train` wrote: the booster and its metadata, checked to be a model of iris."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import CLASSES, FEATURES
from .contract import ProgramError


@dataclass(frozen=True)
class Model:
    """booster.predict takes (rows, 4) float64 in the order of FEATURES and gives (rows, 3) probabilities."""

    booster: Any
    metadata: dict[str, Any]


def read(folder: Path) -> tuple[str, dict[str, Any]]:
    """The model's text and metadata, checked as far as that goes without LightGBM.

    Raises ProgramError when a file is missing, cannot be read, or is of other classes or features.
    """
    model_file, metadata_file = folder / "model.txt", folder / "metadata.json"
    missing = [path.name for path in (model_file, metadata_file) if not path.is_file()]
    if missing:
        raise ProgramError(f"{folder} holds no {' and no '.join(missing)}")
    try:
        metadata = json.loads(metadata_file.read_text(encoding="utf-8"))
        classes, features = tuple(metadata["classes"]), tuple(metadata["features"])
    except (ValueError, KeyError, TypeError) as error:
        raise ProgramError(f"{metadata_file} cannot be read: {type(error).__name__}: {error}") from error
    if classes != CLASSES or features != FEATURES:
        raise ProgramError(f"{metadata_file} is of classes {classes} and features {features}, not iris")
    text = model_file.read_text(encoding="utf-8", errors="replace")
    # LightGBM aborts the process on some truncated files, so look for both ends of its format first.
    if not text.startswith("tree\n") or "\nend of trees\n" not in text:
        raise ProgramError(f"{model_file} is not a whole LightGBM model")
    return text, metadata


def load(folder: Path) -> Model:
    """The model as LightGBM's own. Raises ProgramError as `read` does, or when LightGBM refuses it."""
    text, metadata = read(folder)
    import lightgbm

    model_file = folder / "model.txt"
    try:
        booster = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise ProgramError(f"{model_file} cannot be loaded: {error}") from error
    if tuple(booster.feature_name()) != FEATURES or booster.num_model_per_iteration() != len(CLASSES):
        raise ProgramError(f"{model_file} is not a model of iris")
    return Model(booster, metadata)
