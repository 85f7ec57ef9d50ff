"""Whether every job that had to run ended well: GitHub counts a skipped job as passed, and this does not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pipeline.errors import SettingsError

RESULTS = ("success", "failure", "cancelled", "skipped")
# The first job says whether there is anything to do; the others are then one of these, at least.
FIRST = "affected"


@dataclass(frozen=True)
class Job:
    """A job that this one needs: its id, how it ended, what it said."""

    name: str
    result: str
    outputs: dict[str, str]


def parse(text: str) -> list[Job]:
    """`toJSON(needs)`.

    Raises:
        SettingsError: it is not that, or it is empty: then nothing would be required.
    """
    try:
        data = json.loads(text)
        jobs = [Job(name, each["result"], dict(each.get("outputs") or {})) for name, each in data.items()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError("the needed jobs cannot be read", where="NEEDS", hint=_HINT) from error
    if not jobs or any(job.result not in RESULTS for job in jobs):
        raise SettingsError("no needed job, or one without a result", where="NEEDS", hint=_HINT)
    return jobs


_HINT = "give the step `env: NEEDS: ${{ toJSON(needs) }}`"


def problems(jobs: list[Job]) -> list[str]:
    """What keeps this from counting as passed; empty when nothing does."""
    found = [f"{job.name}: {job.result}" for job in jobs if job.result in ("failure", "cancelled")]
    by_name: dict[str, Any] = {job.name: job for job in jobs}
    first = by_name.get(FIRST)
    if first is None:
        # Then nothing may be left out.
        return found + [f"{job.name}: skipped" for job in jobs if job.result == "skipped"]
    if first.result == "skipped":
        found.append(f"{FIRST}: skipped, so nobody knows what had to run")
    if first.outputs.get("any") == "true":
        for name, group in _groups(jobs).items():
            if all(job.result == "skipped" for job in group):
                found.append(f"{name}: skipped, although pipelines are concerned")
    return found


def _groups(jobs: list[Job]) -> dict[str, list[Job]]:
    """Jobs of which one is enough: `plan` and `plan-fork` exclude each other."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        if job.name != FIRST:
            groups.setdefault(job.name.removesuffix("-fork"), []).append(job)
    return groups


def table(jobs: list[Job]) -> str:
    """For the run's page."""
    rows = [f"| {job.name} | {job.result} |" for job in jobs]
    return "\n".join(["| Job | Result |", "|---|---|", *rows])
