"""act's output, line by line: what a person sees of it, and what became of each job."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Say = Callable[[str], None]
# act prefixes its own words with a picture.
_OWN_STEPS = frozenset({"Set up job", "Complete job"})
_NUMBERED = re.compile(r"-\d+$")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ANNOTATION = re.compile(r"::(?P<kind>error|warning|notice)[^:]*::(?P<text>.*)")
MARKS = {"success": "ok", "failure": "FAILED", "skipped": "skipped", "cancelled": "cancelled"}


@dataclass
class JobState:
    """One job of a run: what it is called, and how it stands."""

    name: str
    id: str
    status: str = "in_progress"
    conclusion: str = ""
    waiting: str = ""
    began: float = field(default_factory=time.time)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "id": self.id,
            "status": self.status,
            "conclusion": self.conclusion,
            "waiting": self.waiting,
            "seconds": round(self.seconds, 1),
        }


class Progress:
    """Reads what `act --json` prints; `say` gets lines for people, `log` every line of the jobs' output."""

    def __init__(self, workflow: str, say: Say, log: Say) -> None:
        self._workflow, self._say, self._log = workflow, say, log
        self.jobs: dict[str, JobState] = {}
        self._partial: dict[str, str] = {}
        self._failed_step: dict[str, str] = {}

    def line(self, text: str) -> None:
        """One line of act's."""
        try:
            told = json.loads(text)
        except ValueError:
            self._log(text.rstrip())
            return
        if not isinstance(told, dict):
            return
        message = str(told.get("msg", ""))
        if "jobID" not in told:
            self._log(message.rstrip())
            if told.get("level") in ("error", "fatal"):
                self._say(f"{self._workflow}: {message.strip()}")
            return
        job = self._job(told)
        if told.get("raw_output"):
            self._output(job, message)
        elif "jobResult" in told:
            self._ended(job, str(told["jobResult"]))
        elif told.get("stepResult") == "failure":
            self._failed_step[job.name] = str(told.get("step", ""))
        elif told.get("level") == "error":
            self._output(job, message if message.endswith("\n") else message + "\n")

    def waiting(self, name: str, why: str) -> None:
        """A job waits for something, or ("") goes on."""
        job = self.jobs.get(name)
        if job is not None:
            job.waiting = why
        self._say(
            f"{name}: {'waits for ' + why if why and not why.startswith('waits') else why or 'goes on'}"
        )

    def ended(self, expected: dict[str, str]) -> None:
        """act has ended: what it never spoke of was skipped. `expected`: job id -> its name."""
        seen = {job.id for job in self.jobs.values()}
        for id_, name in expected.items():
            if id_ not in seen:
                # A matrix that was skipped has no values to be named by.
                shown = id_ if "${{" in name else name
                self.jobs[shown] = JobState(shown, id_, "completed", "skipped")
        for job in self.jobs.values():
            if job.status != "completed":
                self._ended(job, "cancelled")

    def _job(self, told: dict[str, Any]) -> JobState:
        # `workflow/job`, both by their names; act numbers the jobs of a matrix.
        name = str(told.get("job", "")).removeprefix(f"{self._workflow}/").strip()
        if told.get("matrix"):
            name = _NUMBERED.sub("", name)
        if name not in self.jobs:
            self.jobs[name] = JobState(name, str(told["jobID"]))
            self._say(f"{name}: started")
        return self.jobs[name]

    def _output(self, job: JobState, text: str) -> None:
        *whole, rest = (self._partial.get(job.name, "") + text).split("\n")
        self._partial[job.name] = rest
        for line in whole:
            self._log(f"[{job.name}] {line}")
            shown = _plain(line)
            if shown:
                self._say(f"{job.name} | {shown}")

    def _ended(self, job: JobState, result: str) -> None:
        if self._partial.get(job.name):
            self._output(job, "\n")
        job.status, job.conclusion, job.waiting = "completed", result, ""
        job.seconds = time.time() - job.began
        step = self._failed_step.get(job.name)
        at = f" at '{step}'" if result == "failure" and step and step not in _OWN_STEPS else ""
        self._say(f"{job.name}: {MARKS.get(result, result)}{at} ({job.seconds:.1f} s)")


def _plain(line: str) -> str:
    """A line of a job for the terminal: commands to GitHub are left out, annotations said in words."""
    line = _COLOURS.sub("", line).rstrip()
    annotation = _ANNOTATION.match(line.strip(" \u2757\u26a0\ufe0f\U0001f4ac"))
    if annotation:
        return f"{annotation['kind']}: {annotation['text']}"
    return "" if line.strip().startswith("::") else line


def conclusion(jobs: list[JobState], cancelled: bool) -> str:
    """Of the whole run: failed if a job did."""
    if cancelled:
        return "cancelled"
    if any(job.conclusion == "failure" for job in jobs):
        return "failure"
    if jobs and all(job.conclusion == "skipped" for job in jobs):
        return "skipped"
    return "success"
