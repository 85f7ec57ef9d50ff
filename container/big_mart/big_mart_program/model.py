"""A model as it is shipped: XGBoost's own file, as the built-in algorithm leaves it, beside features.json."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .encoder import FILE, BadFeatures, Encoder, loads
from .errors import BadModel

# xgboost imports scikit-learn where it finds it, for wrappers that nothing here uses: most of the start.
# None says that there is none (https://docs.python.org/3/reference/import.html#the-module-cache).
sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]

import xgboost  # noqa: E402

# As SageMaker's own image names it.
MODEL = "xgboost-model"
# Threads cost more than they bring until there are thousands of rows.
ROWS_FOR_THREADS = 4096


class Model:
    """A loaded model. Not for two threads at a time."""

    def __init__(self, booster: Any, encoder: Encoder, about: dict[str, Any], threads: int) -> None:
        self.booster, self.encoder, self.about = booster, encoder, about
        self._threads, self._used = threads, 0

    def predict(self, rows: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """(rows,) predictions of raw rows. Raises BadValue."""
        return self.score(np.array([self.encoder.row(row) for row in rows], dtype=np.float32))

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(rows,) predictions of features (rows, features)."""
        threads = self._threads if len(features) >= ROWS_FOR_THREADS else 1
        if threads != self._used:
            self.booster.set_param({"nthread": threads})
            self._used = threads
        found: NDArray[np.float32] = self.booster.inplace_predict(features)
        return found


def load(folder: Path, threads: int = 1) -> Model:
    """The model in a folder. Raises BadModel."""
    try:
        encoder, about = loads((folder / FILE).read_text(encoding="utf-8"))
    except OSError:
        raise BadModel(f"there is no {FILE} beside the model: it says what a raw row is made into") from None
    except BadFeatures as error:
        raise BadModel(str(error)) from error
    booster = booster_of(folder)
    if booster.num_features() != len(encoder.names):
        raise BadModel(
            f"the model takes {booster.num_features()} features, {FILE} makes {len(encoder.names)}: "
            "they are not of the same training"
        )
    return Model(booster, encoder, about, threads)


def booster_of(folder: Path) -> Any:
    """XGBoost's model in a folder, by whichever name, in JSON or UBJSON. Raises BadModel."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != FILE]
    own = [path for path in found if path.name == MODEL] or found
    if len(own) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise BadModel(f"one file with XGBoost's model is expected, such as {MODEL}; there are: {names}")
    try:
        return xgboost.Booster(model_file=bytearray(own[0].read_bytes()))
    except (xgboost.core.XGBoostError, ValueError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        raise BadModel(
            f"{own[0].name} is no model that XGBoost {xgboost.__version__} loads: {first}"
        ) from error
