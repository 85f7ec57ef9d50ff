"""Reading one evaluation report: a metric by name, one finite number or the reason why there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# A report is a few kilobytes; this only guards the function's memory.
LARGEST_REPORT_BYTES = 5_000_000

_NOTHING = object()


@dataclass(frozen=True)
class Metric:
    """A metric of a report. `value` is None unless it is one finite number; then `why` says what is wrong.

    `deviation`: its standard deviation, in the metric's unit; None if the report has no good one.
    """

    value: float | None
    deviation: float | None = None
    why: str = ""


def parse(text: bytes, written: datetime, not_before: datetime | None) -> dict[str, Any]:
    """The report as a dictionary.

    Args:
        text: the object's bytes; more than LARGEST_REPORT_BYTES of them are too many.
        not_before: what was written earlier is stale; None where age does not matter.

    Raises:
        ValueError: it is stale, too large, or no JSON object; the text says which.
    """
    # S3 gives whole seconds, an execution's start has milliseconds: compare in S3's unit.
    if not_before is not None and written < not_before.replace(microsecond=0):
        raise ValueError(
            f"the evaluation is stale: written {written.isoformat()}, run from {not_before.isoformat()}"
        )
    if len(text) > LARGEST_REPORT_BYTES:
        raise ValueError(f"the evaluation is larger than {LARGEST_REPORT_BYTES:,} bytes")
    try:
        report = json.loads(text)
    except ValueError as error:
        raise ValueError(f"the evaluation is not JSON: {error}") from error
    if not isinstance(report, dict):
        raise ValueError("the evaluation is not a JSON object")
    return report


def metric(report: Mapping[str, Any], name: str) -> Metric:
    """The metric called `name`, anywhere under the report's `*_metrics`; `setosa.recall` is a nested one."""
    found = [
        entry for key, group in report.items() if key.endswith("_metrics") for entry in _search(group, name)
    ]
    value, why = _one_number(name, found)
    if value is None:
        return Metric(None, why=why)
    deviation = found[0].get("standard_deviation") if isinstance(found[0], dict) else None
    if not is_number(deviation) or float(deviation or 0) < 0:
        return Metric(value)
    return Metric(value, float(deviation or 0))


def _search(group: Any, name: str) -> Iterator[Any]:
    """Everything in a metric group that goes by this name, at any depth."""
    if not isinstance(group, dict):
        return
    found = group.get(name, _NOTHING)
    if found is _NOTHING and "." in name:
        found = group
        for part in name.split("."):
            found = found.get(part, _NOTHING) if isinstance(found, dict) else _NOTHING
    if found is not _NOTHING:
        yield found
    for key, inner in group.items():
        if key != name:
            yield from _search(inner, name)


def _one_number(name: str, found: Sequence[Any]) -> tuple[float | None, str]:
    """The one finite number among what was found, or None and why there is none."""
    if not found:
        return None, f"{name} is missing from the evaluation"
    if len(found) > 1:
        return None, f"{name} is ambiguous: the evaluation has {len(found)} metrics of that name"
    value = found[0].get("value", _NOTHING) if isinstance(found[0], dict) else found[0]
    if value is _NOTHING:
        return None, f"{name} has no value in the evaluation"
    if isinstance(value, float) and not math.isfinite(value):
        return None, f"{name} is {value}, not a finite number"
    if not is_number(value):
        return None, f"{name} is {json.dumps(value)[:60]}, not a number"
    return float(value), ""


def is_number(value: Any) -> bool:
    """A finite number; true and false are none, nor is text that looks like one."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def parse_time(text: str) -> datetime:
    """An ISO time; without an offset it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
