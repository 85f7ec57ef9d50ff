"""iris through the plug-in functions as a script would have them: default input_fn and output_fn, NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm

CLASSES = ("setosa", "versicolor", "virginica")


def model_fn(model_dir: str) -> lightgbm.Booster:
    return lightgbm.Booster(model_file=Path(model_dir) / "model.txt")


def predict_fn(data: Any, model: lightgbm.Booster) -> Any:
    rows = data.reshape(1, -1) if data.ndim == 1 else data
    return model.predict(rows, validate_features=False)


def output_fn(prediction: Any, accept: str) -> tuple[str, str]:
    labels = [CLASSES[index] for index in prediction.argmax(axis=1)]
    return "".join(
        f"{label},{one!r},{two!r},{three!r}\n"
        for label, (one, two, three) in zip(labels, prediction.tolist(), strict=True)
    ), accept
