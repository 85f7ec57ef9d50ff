"""What the serving stack calls: loads the model of big_mart and answers raw rows."""

from __future__ import annotations

from pathlib import Path

from big_mart_program import formats, model
from big_mart_program.encoder import BadValue
from big_mart_program.errors import BadModel
from big_mart_program.model import Model
from script_mode import available_processors
from serving import LoadError, RequestError, metric


def model_fn(model_dir: str) -> Model:
    """The model, with its first prediction behind it: that one sets up XGBoost's predictor."""
    try:
        made = model.load(Path(model_dir), available_processors())
        made.predict([[""] * len(made.encoder.columns)])
    except BadModel as error:
        raise LoadError(str(error)) from error
    return made


def transform_fn(model: Model, body: str | bytes, content_type: str | None, accept: str) -> tuple[bytes, str]:
    """Raw rows in, what each will sell out; formats.py says in which forms."""
    kind = formats.choose_type(accept)
    rows = formats.read(body, content_type or "", model.encoder)
    try:
        predicted = model.predict(rows).tolist()
    except BadValue as error:
        raise RequestError(400, str(error)) from None
    metric("prediction", sum(predicted) / len(predicted))  # of a batch the mean: one number a request
    unknown = [model.encoder.unknown(row) for row in rows] if kind != formats.CSV else [{}] * len(rows)
    return formats.write(predicted, unknown, kind), kind
