"""Which rows are trained on, which stop the training and which are held out: by key, or by time.

By key a row's part follows from a hash of its key alone: however the data grows, a row that was trained on
once never becomes one that a later model is tested on. By time the latest rows are held out, as requests are
always later than what was trained on.
"""

from __future__ import annotations

import hashlib

from script_mode import ProgramError

from .columns import Arguments
from .table import Table, number

PARTS = ("train", "validation", "test")


def split(table: Table, arguments: Arguments) -> dict[str, list[int]]:
    """Row numbers of each part. Raises ProgramError when one is empty."""
    found = _by_time(table, arguments) if arguments.time else _by_key(table, arguments)
    for name in PARTS:
        if not found[name]:
            raise ProgramError(f"no row of {len(table.rows)} falls into the part {name!r}: there are too few")
    return found


def _by_key(table: Table, arguments: Arguments) -> dict[str, list[int]]:
    at = [table.columns.index(name) for name in arguments.key or table.columns]
    found: dict[str, list[int]] = {name: [] for name in PARTS}
    for row, cells in enumerate(table.rows):
        text = "\x1f".join([str(arguments.seed), *(cells[column] for column in at)])
        place = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
        found[_part(place, arguments)].append(row)
    return found


def _part(place: float, arguments: Arguments) -> str:
    """place: from 0 to 1."""
    if place < arguments.test:
        return "test"
    return "validation" if place < arguments.test + arguments.validation else "train"


def _by_time(table: Table, arguments: Arguments) -> dict[str, list[int]]:
    try:
        times = [number(text) for text in table.column(arguments.time)]
    except ValueError as error:
        raise ProgramError(f"column {arguments.time}: {error}") from None
    if None in times:
        raise ProgramError(f"column {arguments.time} has an empty value")
    known = sorted({time for time in times if time is not None})
    # The latest are the test, those before them the validation.
    test = round(arguments.test * len(known))
    seen = len(known) - test
    names = dict.fromkeys(known[seen:], "test")
    names |= dict.fromkeys(known[seen - round(arguments.validation * len(known)) : seen], "validation")
    found: dict[str, list[int]] = {name: [] for name in PARTS}
    for row, time in enumerate(times):
        found[names.get(time or 0.0, "train")].append(row)
    return found
