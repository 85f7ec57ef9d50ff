"""Names of executions: the same start has the same name, so that it cannot happen twice at once. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any

MAX_LENGTH = 80
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def base_name(day: str, git_sha: str, machine: str, data: Mapping[str, Any]) -> str:
    """`<YYYYMMDD>-<sha7>-<hash8>`.

    Args:
        day: the input's date, or today's: YYYY-MM-DD or an ISO time.
        git_sha: the commit; empty outside a repository.
        machine: what identifies the deployed definition (its digest).
        data: the execution's input; all of it counts but the commit, which stands in the name itself, and
            what only says who started it: a job that is run again finds the run of its first try.
    """
    counted = {key: value for key, value in data.items() if key not in ("GIT_SHA", "PULL_REQUEST", "RUN_URL")}
    text = json.dumps([machine, counted], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{parse_day(day):%Y%m%d}-{git_sha[:7] or 'nogit'}-{digest}"


def next_name(base: str, taken: Collection[str]) -> str:
    """`base`, or `base-2`, `base-3`, ... : the first that no closed execution has."""
    if base not in taken:
        return base
    number = 2
    while f"{base}-{number}" in taken:
        number += 1
    return f"{base}-{number}"


def belongs(name: str, base: str) -> bool:
    """Whether `name` is `base` or one of its repeats."""
    return re.fullmatch(rf"{re.escape(base)}(-\d+)?", name) is not None


def parse_day(text: str) -> date:
    """The day of `YYYY-MM-DD` or of an ISO time.

    Raises:
        ValueError: neither.
    """
    if DAY.fullmatch(text):
        return date.fromisoformat(text)
    return datetime.fromisoformat(text).date()
