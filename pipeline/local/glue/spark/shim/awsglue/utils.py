"""getResolvedOptions: a script's arguments by name, with Glue's own taken into account."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from . import job


class GlueArgumentError(Exception):
    """The arguments are not what the script asked for."""


class GlueArgumentParser(argparse.ArgumentParser):
    """argparse that raises instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        raise GlueArgumentError(message)


# Glue's own: (flag, what it may be, how a script that asks for it must have written it to be told so)
_RESERVED: tuple[tuple[str, Sequence[str] | None, str], ...] = (
    (job.BOOKMARK, job.BOOKMARKS, "job-bookmark-option"),
    (job.CONTINUATION, job.CONTINUATIONS, "continuation-option"),
    *((flag, None, flag[2:]) for flag in job.BOOKMARK_RANGE),
    *((flag, None, flag) for flag in job.IDS[1:]),
    (job.ENCRYPTION, job.ENCRYPTIONS, job.ENCRYPTION),
    (job.LINEAGE, None, job.LINEAGE),
)
_SAID_SHORT = ("continuation-option", "job-bookmark-option")
_TEMPORARY = ("RedshiftTempDir", "TempDir")


def getResolvedOptions(args: Sequence[str], options: Sequence[str]) -> dict[str, Any]:
    """The value of each of `options` (names without dashes, all required) and of Glue's own parameters.

    Args:
        args: `sys.argv`; the first is the script.

    Raises:
        GlueArgumentError: one is missing or has no value.
        RuntimeError: a name is Glue's own, or a bookmark's range is half given.
    """
    # In the order in which Glue looks, so that of two faults the same one is told.
    for name in _SAID_SHORT:
        if name in options:
            raise RuntimeError(f"Using reserved arguments {name}")
    parser = GlueArgumentParser()
    for flag, choices, asked in _RESERVED:
        if asked in options:
            raise RuntimeError(f"Using reserved arguments {flag}")
        parser.add_argument(flag, choices=choices, required=False)
    for name in _TEMPORARY:
        parser.add_argument(f"--{name}", required=False)
    for name in options:
        if name not in _TEMPORARY:
            parser.add_argument(f"--{name}", required=True)
    values = vars(parser.parse_known_args(args[1:])[0])
    temporary = values["TempDir"] if values["TempDir"] is not None else values["RedshiftTempDir"]
    values["TempDir"] = values["RedshiftTempDir"] = temporary
    _bookmark(values)
    return values


def _bookmark(values: dict[str, Any]) -> None:
    """The bookmark's option under its present name, and its range only where one can be given."""
    old = values.pop("continuation_option", None)
    if values["job_bookmark_option"] is None:
        position = job.CONTINUATIONS.index(old) if old is not None else len(job.BOOKMARKS) - 1
        values["job_bookmark_option"] = job.BOOKMARKS[position]
    missing = [flag for flag in job.BOOKMARK_RANGE if values[flag[2:].replace("-", "_")] is None]
    if values["job_bookmark_option"] == "job-bookmark-pause":
        if len(missing) == 1:
            raise RuntimeError(f"Missing option or value for {missing[0]}")
    elif not missing:
        raise RuntimeError(f"Invalid option(s){' '.join(job.BOOKMARK_RANGE)}")
