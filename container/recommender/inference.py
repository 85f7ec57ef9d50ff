"""What the serving stack calls: loads the recommender's model and answers requests, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

from recommender_program import answers, bundle, questions
from recommender_program.errors import BadModel
from recommender_program.ranker import Pair, Ranker
from serving import LoadError, metric


def model_fn(model_dir: str) -> Ranker:
    """The model, with its first answer behind it."""
    try:
        ranker = Ranker(bundle.load(Path(model_dir)))
        ranker.pairs([Pair(1, int(ranker.movies.ids[0]))])
    except (BadModel, ValueError, IndexError) as error:
        raise LoadError(str(error)) from error
    return ranker


def transform_fn(
    model: Ranker, body: str | bytes, content_type: str | None, accept: str
) -> tuple[bytes, str]:
    """Questions in, probabilities and rankings out: docs/reference/recommender-requests.md."""
    kind = answers.choose_type(accept)
    found = answers.answer(model, questions.read(body, content_type or ""))
    told = [value for _, value in found if isinstance(value, float)]
    told += [
        float(value.probabilities.mean())
        for _, value in found
        if isinstance(value, tuple) and len(value.movies)
    ]
    if told:  # of several the mean: one number a request
        metric("probability", sum(told) / len(told))
    return answers.write(model, found, kind), kind
