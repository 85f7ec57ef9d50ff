"""Answers into responses: JSON, CSV and JSON Lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson
from serving import accepted

from .questions import CSV, JSON, JSON_LINES, Question, Ranking
from .ranker import Pair, Ranked, Ranker

UNKNOWN_MOVIE = "the movie is not in the catalogue"
# The first that matches a wildcard is used.
_OFFERED = (JSON, CSV, JSON_LINES)

Answer = tuple[Question, float | Ranked | None]


@lru_cache(maxsize=64)
def choose_type(accept: str) -> str:
    """The response's type for an Accept header, by quality; JSON by default. Raises RequestError 406."""
    return accepted(accept, _OFFERED)


def answer(ranker: Ranker, questions: Sequence[Question]) -> list[Answer]:
    """What the model says to each; pairs are asked all at once."""
    pairs = [question for question in questions if isinstance(question, Pair)]
    probabilities = iter(ranker.pairs(pairs))
    found: list[Answer] = []
    for question in questions:
        if isinstance(question, Pair):
            found.append((question, next(probabilities)))
        elif question.candidates is not None:
            found.append((question, ranker.rank(question.user, question.candidates, question.top)))
        else:
            found.append((question, _recommended(ranker, question)))
    return found


def _recommended(ranker: Ranker, asked: Ranking) -> Ranked:
    return ranker.recommend(asked.user, asked.recall, asked.top, asked.exclude, asked.liked)


def write(ranker: Ranker, answers: Sequence[Answer], kind: str) -> bytes:
    """The response's body."""
    if kind == CSV:
        return "".join(_csv(*each) for each in answers).encode()
    said = [_said(ranker, *each) for each in answers]
    if kind == JSON_LINES:
        return b"".join(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in said)
    alone = len(said) == 1 and isinstance(answers[0][0], Ranking)
    return orjson.dumps(said[0] if alone else {"predictions": said})


def _said(ranker: Ranker, question: Question, found: float | Ranked | None) -> dict[str, Any]:
    about: dict[str, Any] = {"user": question.user}
    if isinstance(question, Pair):
        about["movie"] = question.movie
        about |= {"error": UNKNOWN_MOVIE} if found is None else {"probability": found}
    if not ranker.knows_user(question.user):
        about["cold_start"] = True
    if isinstance(found, Ranked):
        listed = zip(found.movies.tolist(), found.probabilities.tolist(), strict=True)
        about |= {"by": found.by, "candidates": found.candidates}
        about["ranking"] = [{"movie": movie, "probability": probability} for movie, probability in listed]
        if found.unknown:
            about["errors"] = [{"movie": movie, "error": UNKNOWN_MOVIE} for movie in found.unknown]
    return about


def _csv(question: Question, found: float | Ranked | None) -> str:
    """`user,movie,probability` a line; an empty probability where the movie is unknown."""
    if isinstance(question, Pair):
        return f"{question.user},{question.movie},{'' if found is None else found}\n"
    assert isinstance(found, Ranked)
    listed = zip(found.movies.tolist(), found.probabilities.tolist(), strict=True)
    lines = [f"{question.user},{movie},{probability}\n" for movie, probability in listed]
    return "".join([*lines, *(f"{question.user},{movie},\n" for movie in found.unknown)])
