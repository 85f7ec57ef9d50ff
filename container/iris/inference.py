"""What the serving stack calls: loads the model of iris and answers requests.

Classes: 0 setosa, 1 versicolor, 2 virginica.
"""

from __future__ import annotations

from pathlib import Path

from iris_program import formats
from iris_program.contract import ProgramError
from iris_program.scoring import Scorer
from serving import LoadError, as_text, metric


def model_fn(model_dir: str) -> Scorer:
    """The model, with its first prediction behind it: that one sets up LightGBM's predictor."""
    try:
        scorer = Scorer(Path(model_dir))
    except ProgramError as error:
        raise LoadError(str(error)) from error
    scorer.row([5.0, 3.0, 4.0, 1.0])
    return scorer


def transform_fn(
    model: Scorer, body: str | bytes, content_type: str | None, accept: str
) -> tuple[bytes, str]:
    """Rows of features in, labels and probabilities out; formats.py says in which forms."""
    kind, writer = formats.choose_writer(accept)
    if content_type == formats.CSV and (row := formats.quick_row(body)) is not None:
        predicted = [model.row(row)]
    else:
        predicted = model.rows(formats.choose_reader(content_type or "")(as_text(body)))
    if predicted:  # of a batch the mean: one number a request
        metric("confidence", sum(map(max, predicted)) / len(predicted))
    return writer(predicted), kind
