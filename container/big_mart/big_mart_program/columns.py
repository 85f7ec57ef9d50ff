"""Which columns there are and what each is for, as the arguments of `preprocess` say.

    --LABEL Item_Outlet_Sales --GROUP Outlet_Identifier
    --NUMBERS Item_Weight,Item_MRP --CATEGORIES Item_Type,Outlet_Identifier

A column that is named nowhere is kept in requests and not learnt from, such as an identifier.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from script_mode import ProgramError

MISSING = ("", "NA", "NaN", "nan", "null")


@dataclass(frozen=True)
class Arguments:
    """The arguments of `preprocess`.

    Args:
        label: column that is to be learnt.
        group: column of the baseline, which predicts the mean of its group of training rows.
        numbers, categories: what is learnt from.
        zero_is_missing: numbers of which 0 says that nobody knows, such as a product's visibility.
        spellings: category -> {as it is found: as it is meant}.
        key: columns that say which part a row falls into; all but the label where it is empty.
        time: column by whose order the parts follow each other, instead of by the key.
        validation, test: shares of the rows, or of the points in time; the rest is trained on.
        seed: of the draw by key.
    """

    label: str
    group: str
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    zero_is_missing: tuple[str, ...] = ()
    spellings: dict[str, dict[str, str]] | None = None
    key: tuple[str, ...] = ()
    time: str = ""
    validation: float = 0.2
    test: float = 0.2
    seed: int = 7

    @property
    def named(self) -> tuple[str, ...]:
        """All columns that must be there."""
        parts = (self.label, self.group, *self.numbers, *self.categories, *self.key, self.time)
        return tuple(dict.fromkeys(name for name in parts if name))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ProgramError(f"arguments of preprocess: {message}")


def parse(given: Sequence[str]) -> Arguments:
    """Arguments out of the command line. Raises ProgramError, which names what is wrong."""
    parser = _Parser(prog="preprocess", add_help=False, allow_abbrev=False)
    parser.add_argument("--LABEL", dest="label", required=True)
    parser.add_argument("--GROUP", dest="group", required=True)
    for name, required in (
        ("NUMBERS", True),
        ("CATEGORIES", True),
        ("ZERO_IS_MISSING", False),
        ("KEY", False),
    ):
        parser.add_argument(f"--{name}", dest=name.lower(), type=_names, required=required, default=())
    parser.add_argument("--SPELLINGS", dest="spellings", type=_spellings, default={})
    parser.add_argument("--TIME", dest="time", default="")
    parser.add_argument("--VALIDATION_SHARE", dest="validation", type=float, default=0.2)
    parser.add_argument("--TEST_SHARE", dest="test", type=float, default=0.2)
    parser.add_argument("--SEED", dest="seed", type=int, default=7)
    found = Arguments(**vars(parser.parse_args(list(given))))
    for problem in _problems(found):
        raise ProgramError(f"arguments of preprocess: {problem}")
    return found


def _problems(found: Arguments) -> list[str]:
    problems = []
    learnt = [*found.numbers, *found.categories]
    if not learnt:
        problems.append("NUMBERS and CATEGORIES name no column")
    if twice := sorted({name for name in learnt if learnt.count(name) > 1}):
        problems.append(f"{', '.join(twice)} is named twice")
    if found.label in learnt:
        problems.append(f"{found.label} is the label; nothing is learnt from it")
    if stray := sorted(set(found.zero_is_missing) - set(found.numbers)):
        problems.append(f"{', '.join(stray)} of ZERO_IS_MISSING is not among NUMBERS")
    if stray := sorted(set(found.spellings or {}) - set(found.categories)):
        problems.append(f"{', '.join(stray)} of SPELLINGS is not among CATEGORIES")
    if min(found.validation, found.test) <= 0 or found.validation + found.test >= 1:
        problems.append("VALIDATION_SHARE and TEST_SHARE are above 0, and less than 1 together")
    return problems


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _spellings(text: str) -> dict[str, dict[str, str]]:
    """`Item_Fat_Content:LF=Low Fat,reg=Regular;Other:a=b`."""
    found: dict[str, dict[str, str]] = {}
    for part in filter(None, text.split(";")):
        column, colon, pairs = part.partition(":")
        cut = [pair.partition("=") for pair in pairs.split(",")]
        if not colon or not all(sign for _, sign, _ in cut):
            raise argparse.ArgumentTypeError(f"{part!r} is not <column>:<found>=<meant>,...")
        found[column.strip()] = {wrong.strip(): right.strip() for wrong, _, right in cut}
    return found
