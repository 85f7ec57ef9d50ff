"""An execution's history as visits of states: times, retries, jobs, errors. Pure.

Works with events of AWS (each names the event before it) and with a history that lacks those links.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipeline.execution import judged
from pipeline.execution.reuse import decided

FAILURES = ("Failed", "TimedOut", "Aborted")
# Whose output says what need not be made.
REUSE_FUNCTION = "-find-reusable"
# Whose output says what was found in the data.
DATA_FUNCTION = "-gate-data"
# Members of the API calls that start a job, or of their answers -> what the job is.
JOBS = {
    "TrainingJobName": "training job",
    "ProcessingJobName": "processing job",
    "TransformJobName": "transform job",
    "HyperParameterTuningJobName": "tuning job",
    "JobRunId": "Glue run",
}
# CodeBuild's, known by `<project>:<id>`, which the answer's description holds.
BUILD = "build"


@dataclass
class Visit:
    """One time through one state.

    Args:
        status: running, succeeded, failed, caught (failed and handled by a Catch), aborted.
        retries: how often the state's task was tried again.
        jobs: names of jobs it started, oldest first, as (kind, name).
        function: name of the Lambda function it called.
        reuse: what it decided about reuse, if that was its task.
        quality: what it said of the data, if that was its task.
    """

    name: str
    type: str
    entered: datetime
    exited: datetime | None = None
    status: str = "running"
    retries: int = 0
    error: str = ""
    cause: str = ""
    jobs: list[tuple[str, str]] = field(default_factory=list)
    function: str = ""
    attempts: int = 0
    reuse: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)

    def seconds(self, now: datetime) -> float:
        """How long it took, or has taken so far."""
        return ((self.exited or now) - self.entered).total_seconds()

    def as_dict(self) -> dict[str, Any]:
        jobs = [{"kind": kind, "name": name} for kind, name in self.jobs]
        return {**self.__dict__, "jobs": jobs}


@dataclass
class Timeline:
    """All visits of an execution, and how it ended (status empty while it runs)."""

    visits: list[Visit] = field(default_factory=list)
    status: str = ""
    error: str = ""
    cause: str = ""

    def statuses(self) -> dict[str, str]:
        """State -> status of its last visit, for a picture; what ended a run is failed, though caught."""
        found = {visit.name: visit.status for visit in self.visits}
        culprit = self.culprit() if self.status not in {"", "SUCCEEDED"} else None
        return found | {culprit.name: "failed"} if culprit else found

    def culprit(self) -> Visit | None:
        """The visit whose failure ended the run, if it was a failure that did.

        A Fail state may repeat the error of the state whose failure led to it; other failures were caught
        and got over.
        """
        bad = [v for v in self.visits if v.status in {"failed", "caught", "aborted"} and v.type != "Fail"]
        same = [v for v in bad if v.error and (v.error, v.cause) == (self.error, self.cause)]
        alike = [v for v in bad if v.error and v.error == self.error]
        uncaught = [v for v in bad if v.status != "caught"]
        return next((group[-1] for group in (same, alike, uncaught) if group), None)


class Reader:
    """Builds a timeline event by event; give it each event once, in order of id."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.last_id = 0
        self._visit_of: dict[int, Visit] = {}
        self._newest: Visit | None = None

    def feed(self, events: Iterable[Mapping[str, Any]]) -> list[Visit]:
        """Take in new events; return the visits that they changed, in order."""
        changed: list[Visit] = []
        for event in events:
            if event["id"] <= self.last_id:
                continue
            self.last_id = event["id"]
            visit = self._take(event)
            if visit is not None and visit not in changed:
                changed.append(visit)
        return changed

    def _take(self, event: Mapping[str, Any]) -> Visit | None:
        kind = event["type"]
        if kind.endswith("StateEntered"):
            return self._enter(event)
        if kind.startswith("Execution") and kind != "ExecutionStarted":
            return self._end(event)
        visit = self._visit_of.get(event.get("previousEventId", 0)) or self._open(event)
        if visit is None:
            return None
        self._visit_of[event["id"]] = visit
        if kind.endswith("StateExited"):
            if visit.name != details(event)["name"]:
                visit = self._exited(event) or visit
            visit.exited = event["timestamp"]
            visit.status = "caught" if visit.status == "failed" else "succeeded"
            if visit.function.endswith(REUSE_FUNCTION):
                visit.reuse = decided(details(event).get("output", ""))
            if visit.function.endswith(DATA_FUNCTION):
                visit.quality = judged.decided(details(event).get("output", ""))
            self._visit_of[event["id"]] = visit
            return visit
        if kind in {"TaskScheduled", "LambdaFunctionScheduled", "ActivityScheduled"}:
            visit.attempts += 1
            visit.retries = visit.attempts - 1
            visit.status, visit.error, visit.cause = "running", "", ""
            _note_work(visit, event)
        elif kind.endswith(FAILURES) or kind == "EvaluationFailed":
            detail = details(event)
            visit.status = "aborted" if kind.endswith("Aborted") else "failed"
            visit.error = detail.get("error") or ("States.Timeout" if kind.endswith("TimedOut") else "")
            visit.cause = detail.get("cause", "")
            visit.exited = event["timestamp"]
        elif kind == "TaskSubmitted":
            _note_work(visit, event)
        else:
            return None
        return visit

    def _enter(self, event: Mapping[str, Any]) -> Visit:
        # A state that failed and was left without an exit event was caught if another state follows it.
        before = self._visit_of.get(event.get("previousEventId", 0)) or self._newest
        if before is not None and before.status == "failed":
            before.status = "caught"
        visit = Visit(
            name=details(event)["name"],
            type=event["type"].removesuffix("StateEntered"),
            entered=event["timestamp"],
        )
        self.timeline.visits.append(visit)
        self._visit_of[event["id"]] = visit
        self._newest = visit
        return visit

    def _end(self, event: Mapping[str, Any]) -> Visit | None:
        status = {
            "ExecutionSucceeded": "SUCCEEDED",
            "ExecutionFailed": "FAILED",
            "ExecutionTimedOut": "TIMED_OUT",
            "ExecutionAborted": "ABORTED",
        }.get(event["type"])
        if status is None:  # redriven: it runs again
            self.timeline.status = ""
            return None
        detail = details(event)
        self.timeline.status = status
        self.timeline.error, self.timeline.cause = detail.get("error", ""), detail.get("cause", "")
        last = None
        for visit in self.timeline.visits:
            if visit.status == "running":
                last = visit
                visit.exited = event["timestamp"]
                visit.status = {"SUCCEEDED": "succeeded", "FAILED": "failed"}.get(status, "aborted")
                if status != "SUCCEEDED":
                    visit.error, visit.cause = self.timeline.error, self.timeline.cause
        return last

    def _open(self, event: Mapping[str, Any]) -> Visit | None:
        """Where events carry no links: the visit of the named state, else the newest that is open."""
        return self._exited(event) or next(
            (v for v in reversed(self.timeline.visits) if v.exited is None or v is self._newest), None
        )

    def _exited(self, event: Mapping[str, Any]) -> Visit | None:
        name = (event.get("stateExitedEventDetails") or {}).get("name")
        if name is None:
            return None
        open_visits = [
            v for v in self.timeline.visits if v.name == name and v.status in {"running", "failed"}
        ]
        return open_visits[0] if open_visits else None


def timeline(events: Iterable[Mapping[str, Any]]) -> Timeline:
    """The timeline of a whole history (oldest event first)."""
    reader = Reader()
    reader.feed(events)
    return reader.timeline


def details(event: Mapping[str, Any]) -> dict[str, Any]:
    """The one `...EventDetails` that an event has; empty if it has none."""
    for key, value in event.items():
        if key.endswith("EventDetails") and isinstance(value, dict):
            return value
    return {}


def readable_cause(cause: str) -> str:
    """The sentence in a cause: a service's JSON (a job's description, a Lambda's error) boiled down."""
    try:
        data = json.loads(cause)
    except ValueError:
        return cause
    if not isinstance(data, dict):
        return cause
    status = next((data[key] for key in data if key.endswith(("JobStatus", "JobRunState"))), "")
    if status and not data.get("FailureReason") and not data.get("ErrorMessage"):
        # A job that was stopped has no reason; why it was says its secondary status.
        second = data.get("SecondaryStatus", "")
        return f"the job is {status} ({second or data.get('ExitMessage') or 'no reason given'})"
    for key in ("FailureReason", "errorMessage", "ExitMessage", "ErrorMessage", "Cause", "cause"):
        if data.get(key):
            kind = data.get("errorType")
            return (
                f"{kind}: {data[key]}" if kind and key == "errorMessage" else readable_cause(str(data[key]))
            )
    return cause


def _note_work(visit: Visit, event: Mapping[str, Any]) -> None:
    detail = details(event)
    resource = str(detail.get("resource", ""))
    if event["type"] == "LambdaFunctionScheduled":
        visit.function = function_name(resource)
        return
    for text in (detail.get("parameters"), detail.get("output")):
        try:
            data = json.loads(text) if text else {}
        except ValueError:
            continue
        if not isinstance(data, dict):
            continue
        build = data.get("Build")
        if isinstance(build, dict) and build.get("Id") and (BUILD, build["Id"]) not in visit.jobs:
            visit.jobs.append((BUILD, build["Id"]))
        for key, kind in JOBS.items():
            if data.get(key) and (kind, data[key]) not in visit.jobs:
                visit.jobs.append((kind, str(data[key])))
        if data.get("FunctionName"):
            visit.function = function_name(str(data["FunctionName"]))


def function_name(reference: str) -> str:
    """`iris-dev-gate` from a name, a qualified name or an ARN of a Lambda function."""
    if ":function:" in reference:
        reference = reference.split(":function:", 1)[1]
    return reference.split(":", 1)[0]
