"""Requests into questions: CSV, JSON, JSON Lines. Pure; format: docs/reference/recommender-requests.md."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson
from serving import RequestError, as_text, media_type, unread

from .encoding import GENRE_SLOTS, NUMBERS
from .ranker import FEATURES, Pair

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"

DEFAULT_TOP = 10
# More than any list a person is shown; a bound keeps one request from holding up the others.
MOST_CANDIDATES = 100_000
LARGEST_ID = 2**63 - 1


class Ranking(NamedTuple):
    """Which movies first? Of `candidates`, or of so many that are recalled."""

    user: int
    candidates: list[int] | None
    recall: int
    top: int
    exclude: list[int]
    liked: list[int]


Question = Pair | Ranking

PAIR_KEYS = ("user", "movie", "features")
RANK_KEYS = ("user", "candidates", "top")
RECALL_KEYS = ("user", "recall", "top", "exclude", "liked")
ALL_KEYS = ("instances", *dict.fromkeys(PAIR_KEYS + RANK_KEYS + RECALL_KEYS))


def read(body: str | bytes, content_type: str) -> list[Question]:
    """The questions of a request. Raises RequestError: 415 for an unknown type, 400 for what is wrong."""
    reader = _READERS.get(media_type(content_type))
    if reader is None:
        raise unread(content_type, _READERS)
    found = reader(as_text(body))
    if not found:
        raise RequestError(400, "the body holds no question")
    return found


def _read_csv(text: str) -> list[Question]:
    """`user,movie`, one pair a line, no header."""
    found: list[Question] = []
    for number, cells in enumerate(csv.reader(text.splitlines()), start=1):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != 2:
            raise RequestError(400, f"line {number}: {len(cells)} columns, 2 expected (user, movie)")
        try:
            user, movie = (int(cell) for cell in cells)
        except ValueError:
            raise RequestError(400, f"line {number}: {','.join(cells)!r} is not two whole numbers") from None
        where = f"line {number}: "
        found.append(Pair(_id(user, f"{where}user"), _id(movie, f"{where}movie")))
    return found


def _read_json(text: str) -> list[Question]:
    """One question, or `{"instances": [pair, ...]}`."""
    value = _parse(text, "the body")
    if isinstance(value, dict) and "instances" in value:
        if set(value) != {"instances"} or not isinstance(value["instances"], list):
            raise RequestError(400, '{"instances": [...]} is expected, with a list and nothing beside it')
        value = value["instances"]
    if isinstance(value, list):
        return [_pair(item, f"instance {number}: ") for number, item in enumerate(value, start=1)]
    return [_question(value, "")]


def _read_json_lines(text: str) -> list[Question]:
    """One question a line."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    return [_question(_parse(line, f"line {number}"), f"line {number}: ") for number, line in lines]


def _parse(text: str, where: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError as error:
        raise RequestError(400, f"{where} is not JSON: {error}") from None


def _question(value: Any, where: str) -> Question:
    if isinstance(value, dict) and "candidates" in value:
        _only(value, RANK_KEYS, where)
        candidates = _ids(value["candidates"], f"{where}candidates")
        if not candidates:
            raise RequestError(400, f"{where}candidates is an empty list")
        top = _whole(value.get("top", len(candidates)), f"{where}top")
        return Ranking(_id(value.get("user"), f"{where}user"), candidates, 0, top, [], [])
    if isinstance(value, dict) and "recall" in value:
        _only(value, RECALL_KEYS, where)
        recall = _whole(value["recall"], f"{where}recall")
        top = _whole(value.get("top", min(recall, DEFAULT_TOP)), f"{where}top")
        exclude, liked = (_ids(value.get(name, []), f"{where}{name}") for name in ("exclude", "liked"))
        return Ranking(_id(value.get("user"), f"{where}user"), None, recall, top, exclude, liked)
    return _pair(value, where)


def _pair(value: Any, where: str) -> Pair:
    if isinstance(value, list) and len(value) == 2:
        value = dict(zip(("user", "movie"), value, strict=True))
    if not isinstance(value, dict):
        raise RequestError(
            400,
            f'{where}{{"user": 1, "movie": 50}} is expected, or "candidates" or "recall" in place of "movie"',
        )
    _only(value, PAIR_KEYS, where)
    features = value.get("features")
    if features is not None:
        _check_features(features, f"{where}features")
    return Pair(_id(value.get("user"), f"{where}user"), _id(value.get("movie"), f"{where}movie"), features)


def _check_features(given: Any, where: str) -> None:
    if not isinstance(given, dict):
        raise RequestError(400, f"{where}: an object is expected")
    _only(given, FEATURES, f"{where}: ")
    for name, value in given.items():
        if value is None:
            continue
        if name in GENRE_SLOTS:
            if not isinstance(value, str):
                raise RequestError(400, f"{where}: {name} is a genre's name, or null")
        elif name not in NUMBERS:
            _id(value, f"{where}: {name}")
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RequestError(400, f"{where}: {name} is a number, or null")


def _only(value: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    others = sorted(set(value) - set(known))
    if others:
        # A misspelt key makes one kind of question look like another: `candidats` like a pair.
        keys = known if known is FEATURES else ALL_KEYS
        close = difflib.get_close_matches(others[0], keys, n=1)
        hint = f"did you mean {close[0]!r}? " if close and close[0] not in value else ""
        raise RequestError(400, f"{where}key {others[0]!r} is unknown; {hint}{', '.join(known)} are read")


def _id(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST_ID:
        raise RequestError(400, f"{where}: {_shown(value)} is no id (a whole number above 0)")
    return value


def _ids(value: Any, where: str) -> list[int]:
    if not isinstance(value, list):
        raise RequestError(400, f"{where}: a list of ids is expected")
    if len(value) > MOST_CANDIDATES:
        raise RequestError(400, f"{where}: {len(value)} ids, {MOST_CANDIDATES} at most")
    return [_id(item, where) for item in value]


def _whole(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_CANDIDATES:
        raise RequestError(400, f"{where}: {_shown(value)} is no whole number from 1 to {MOST_CANDIDATES}")
    return value


def _shown(value: Any) -> str:
    return "nothing" if value is None else orjson.dumps(value).decode()[:40]


_READERS: dict[str, Callable[[str], list[Question]]] = {
    CSV: _read_csv,
    JSON: _read_json,
    JSON_LINES: _read_json_lines,
    "application/x-jsonlines": _read_json_lines,
}
