"""The two evaluations that are compared: read, checked against what they say of themselves, and paired.

How an object is read is handed in: `fetch(uri, limit)` gives its bytes, one more than `limit` at most, and
when it was written, and raises EvaluationUnreadable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from . import examples, report
from .examples import HeldOut
from .report import Metric

Fetch = Callable[[str, int], tuple[bytes, datetime]]


class EvaluationUnreadable(Exception):
    """The report's object cannot be read; the text names it and S3's error code."""


@dataclass(frozen=True)
class Evaluation:
    """One model's report. With a `why` nothing of it may be used.

    `columns`: outcome of each row by metric, for those metrics for which they are known and were asked for.
    """

    uri: str
    report: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    columns: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def metric(self, name: str) -> Metric:
        """The metric, unless the report and its rows contradict each other."""
        found = report.metric(self.report, name)
        if found.value is None or name not in self.columns:
            return found
        why = examples.contradiction(name, found.value, list(self.columns[name]))
        return Metric(None, why=why) if why else found

    @property
    def held_out(self) -> HeldOut | None:
        return examples.held_out(self.report)


@dataclass(frozen=True)
class Champion:
    """The model that serves. Without an `evaluation` (or with one that has a `why`) it is not known how good.

    `exists`: whether a model serves at all; `why` says it in words, or why nothing is known of it.
    """

    exists: bool
    why: str
    package: str = "none"
    evaluation: Evaluation | None = None

    def as_dict(self) -> dict[str, Any]:
        found = self.evaluation
        return {"why": self.why, "package": self.package or "none", "report": found.uri if found else ""}


def read(uri: str, not_before: datetime | None, fetch: Fetch) -> Evaluation:
    """The evaluation at `uri`; one that is stale or no report says so. Raises EvaluationUnreadable."""
    text, written = fetch(uri, report.LARGEST_REPORT_BYTES)
    try:
        return Evaluation(uri, report.parse(text, written, not_before))
    except ValueError as error:
        return Evaluation(uri, why=str(error))


def champion(found: Mapping[str, Any], challenger: Evaluation, fetch: Fetch) -> Champion:
    """The champion by what find_champion found, and what became of its evaluation if there was one.

    Args:
        found: `exists`, `why`, `package`, `report` (its recorded evaluation), then `evaluation` (`report` and
            `not_before` of the one made in this run) or `failed` (`Error` and `Cause` of the job).
    """
    why, package = str(found.get("why", "")), str(found.get("package") or "none")
    if found.get("exists") is False:
        return Champion(False, why, package)
    lost = Champion(True, why or "nothing is known of it", package)
    if "failed" in found:
        return replace(lost, why=f"its evaluation on this run's rows failed: {_cause(found['failed'])}")
    anew = found.get("evaluation") or {}
    uri = str(anew.get("report") or found.get("report") or "")
    if not uri:
        return lost
    try:
        since = report.parse_time(anew["not_before"]) if anew else None
        evaluation = read(uri, since, fetch)
    except EvaluationUnreadable as error:
        return replace(lost, why=f"its evaluation cannot be read: {error}")
    if not evaluation.why:
        evaluation = replace(evaluation, why=_other_rows(challenger, evaluation, bool(anew)))
    return Champion(True, why, package, evaluation)


def _other_rows(challenger: Evaluation, theirs: Evaluation, anew: bool) -> str:
    """Why the two are not of the same held-out data, or "".

    An evaluation of this very run read the run's data, though an older program may tell less of its rows. A
    recorded one must prove that its rows are the same.
    """
    ours, other = challenger.held_out, theirs.held_out
    if ours is None or other is None:
        return "" if anew else "its recorded evaluation does not say of which rows it is"
    if ours.rows != other.rows:
        return f"it was evaluated on {other.rows} rows, the challenger on {ours.rows}"
    return "" if anew or ours.sha256 == other.sha256 else "its recorded evaluation is of other rows"


def paired(
    ours: Evaluation, theirs: Evaluation, wanted: Iterable[str], fetch: Fetch
) -> tuple[Evaluation, Evaluation]:
    """Both with the outcomes of their rows, for the metrics for which both have them on the same rows.

    An evaluation whose outcomes are not those that its report tells of gets a `why`.

    Raises:
        EvaluationUnreadable: the challenger's outcomes cannot be read; the champion's may be gone.
    """
    mine, other = ours.held_out, theirs.held_out
    if ours.why or theirs.why or mine is None or other is None:
        return ours, theirs
    if mine.sha256 != other.sha256 or not mine.file or not other.file:
        return ours, theirs
    names = list(wanted)
    ours = _with_columns(ours, mine, names, fetch)
    try:
        theirs = _with_columns(theirs, other, names, fetch)
    except EvaluationUnreadable:
        # A champion of another environment comes with its report alone; the report still holds.
        return ours, theirs
    both = set(ours.columns) & set(theirs.columns)
    return tuple(  # type: ignore[return-value]
        replace(side, columns={name: column for name, column in side.columns.items() if name in both})
        for side in (ours, theirs)
    )


def _with_columns(side: Evaluation, about: HeldOut, wanted: Iterable[str], fetch: Fetch) -> Evaluation:
    uri = f"{side.uri.rpartition('/')[0]}/{about.file}"
    try:
        text, _ = fetch(uri, examples.LARGEST_EXAMPLES_BYTES)
        return replace(side, columns=examples.parse(text, about, wanted))
    except ValueError as error:
        return replace(side, why=f"the evaluation contradicts itself: {error}")


def _cause(failed: Any) -> str:
    """The sentence in what Step Functions caught: the job's own reason, else the error's name."""
    if not isinstance(failed, dict):
        return "for an unknown reason"
    error, cause = str(failed.get("Error", "")), str(failed.get("Cause", ""))
    try:
        job = json.loads(cause)
    except ValueError:
        job = None
    if isinstance(job, dict):
        said = [str(job[key]) for key in ("FailureReason", "ExitMessage") if job.get(key)]
        cause = "; ".join(said) or "the job gave no reason"
    return re.sub(r"\s+", " ", f"{error}: {cause}").strip(": ")[:400]
