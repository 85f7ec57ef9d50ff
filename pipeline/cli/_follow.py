"""A run shown while it happens, and its result as the exit code."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.cli import _output
from pipeline.cli._progress import Progress

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.execution.follow import Step
    from pipeline.execution.history import Timeline, Visit
    from pipeline.execution.start import Started
    from pipeline.settings.model import Settings

MARKS = {
    "running": (">", "blue"),
    "succeeded": ("ok", "green"),
    "failed": ("x", "red"),
    "caught": ("!", "yellow"),
    "aborted": ("x", "red"),
}
TAIL = 30
LATE_LOOKS = 4
# Longer causes than this are a service's whole answer; the sentence in it is shown instead.
LONG = 600


def follow(args: argparse.Namespace, settings: Settings, clients: Clients, started: Started) -> int:
    """Show progress until the run ends; 0 if it succeeded, else 1, 130 when interrupted."""
    from pipeline.aws.pace import Pace
    from pipeline.execution.follow import Watcher

    watcher, pace, screen = Watcher(clients, started.arn), Pace(longest=2.0), _Screen()
    progress = Progress(clients)
    try:
        while True:
            step = watcher.look()
            screen.show(step)
            if step.closed:
                break
            if said := progress.lines(step):
                screen.clear()
                for text in said:
                    _output.say(f"     {text}")
            pace.wait(news=bool(step.changed))
    except KeyboardInterrupt:
        screen.clear()
        _interrupted(args, settings, clients, started)
        raise
    screen.clear()
    if args.json:
        _output.print_json(_result(started, step))
    _finish(settings, clients, step, args)
    return 0 if step.status == "SUCCEEDED" else 1


class _Screen:
    """Lines for what is over; on a terminal also one line, rewritten, for what runs."""

    def __init__(self) -> None:
        # A build service may lend a job a terminal that nobody looks at.
        self._live = sys.stderr.isatty() and os.environ.get("CI") != "true"
        self._told: dict[int, tuple[str, int]] = {}
        self._done: set[tuple[str, str]] = set()

    def show(self, step: Step) -> None:
        from pipeline.execution.judged import sentence as judged
        from pipeline.execution.reuse import sentences

        self.clear()
        for visit in step.changed:
            known = self._told.get(id(visit))
            now = (visit.status, visit.retries)
            if known == now:
                continue
            self._told[id(visit)] = now
            if known is not None and visit.retries > known[1]:
                _output.say(f"  {_mark('caught')} {visit.name}: try {visit.retries + 1}")
            if (visit.status != "running" or (not self._live and visit.jobs)) and self._is_news(visit):
                _output.say(line(visit))
                for sentence in [*sentences(visit.reuse), *filter(None, [judged(visit.quality)])]:
                    _output.say(f"     {sentence}")
        if self._live and not step.closed:
            running = [v for v in step.timeline.visits if v.status == "running"]
            text = ", ".join(f"{v.name} {_output.duration(v.seconds(datetime.now(UTC)))}" for v in running)
            sys.stderr.write(f"  {_mark('running')} {text[:100]}")
            sys.stderr.flush()

    def _is_news(self, visit: Visit) -> bool:
        """Not the machine's own joints, and not the fifth round of a loop that waits."""
        if visit.status == "succeeded" and visit.type in {"Choice", "Pass", "Wait"}:
            return False
        again = (visit.name, visit.status) in self._done
        self._done.add((visit.name, visit.status))
        return not again or bool(visit.jobs or visit.error)

    def clear(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def _mark(status: str) -> str:
    sign, style = MARKS[status]
    return _output.paint(sign.ljust(2), style, sys.stderr)


def line(visit: Visit) -> str:
    """A visit as one line: mark, name, time, jobs, error."""
    took = _output.duration(visit.seconds(datetime.now(UTC))) if visit.status != "running" else "..."
    notes = [name for _, name in visit.jobs]
    if visit.retries:
        notes.append(f"{visit.retries} retries")
    if visit.error:
        notes.append(visit.error)
    return f"  {_mark(visit.status)} {visit.name.ljust(22)} {took.rjust(9)}  {'  '.join(notes)}".rstrip()


def _finish(settings: Settings, clients: Clients, step: Step, args: argparse.Namespace) -> None:
    """The result in one line; on failure the cause, and the end of the log of what failed."""
    from pipeline.execution.history import readable_cause

    timeline = step.timeline
    took = ""
    if step.description.get("stopDate"):
        seconds = (step.description["stopDate"] - step.description["startDate"]).total_seconds()
        took = f" in {_output.duration(seconds)}"
    if step.status == "SUCCEEDED":
        last = timeline.visits[-1].name if timeline.visits else ""
        _output.say(_output.paint(f"SUCCEEDED{took}: {last}{_reason(step)}", "green", sys.stderr))
        return
    error = step.description.get("error") or timeline.error
    cause = readable_cause(step.description.get("cause") or timeline.cause)
    culprit = timeline.culprit()
    head = (
        f"{step.status}{took}" + (f" at {culprit.name}" if culprit else "") + (f": {error}" if error else "")
    )
    _output.say(_output.paint(head, "red", sys.stderr))
    if error == "ModelRejected":
        _arithmetic(clients, step, cause)
        return
    if error == "DataRejected":
        _broken_rules(clients, step, args, cause)
        return
    if cause:
        # The last lines that a build printed stand in lines of their own, and are what it is about.
        whole = len(cause) <= LONG or "\n" in cause
        _output.say(f"  {cause if whole else cause[:LONG] + '...'}")
    _log_tail(settings, clients, step, "Endpoint" in f"{error} {culprit.name if culprit else ''}")
    _output.say(f"more: pipeline logs {args.name}; pipeline graph {args.name} --format svg --execution last")


def _reason(step: Step) -> str:
    """Why, in the words of the data check, which every pipeline begins with."""
    try:
        reason = json.loads(step.description.get("output") or "{}")["run"]["reason"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" ({reason})" if reason else ""


def _arithmetic(clients: Clients, step: Step, cause: str) -> None:
    """Why a model was rejected: no job failed, so the gate's numbers are all there is to read."""
    from pipeline.execution import gate

    said = gate.explanation(clients, step.description["executionArn"]) or cause
    for line in said.splitlines():
        _output.say(f"  {line}")


def _broken_rules(clients: Clients, step: Step, args: argparse.Namespace, cause: str) -> None:
    """Why data was rejected: every rule that it broke, for the job that measured it did well."""
    from pipeline.execution import data_quality

    for said in data_quality.failed(clients, step.description["executionArn"]) or [cause]:
        _output.say(f"  {said}")
    _output.say(f"more: pipeline quality {args.name} --execution last --all")


def _log_tail(settings: Settings, clients: Clients, step: Step, about_endpoint: bool) -> None:
    """The last lines of what failed: its job or function, or the containers of the endpoint."""
    from pipeline.aws.pace import Pace
    from pipeline.errors import TargetError
    from pipeline.execution import logs

    culprit = step.timeline.culprit()
    try:
        found = logs.sources_of(culprit, clients)[-1:] if culprit else []
        if about_endpoint:
            found.append(logs.endpoint_source(settings, step.description["startDate"]))
        for source in found:
            lines, pace = logs.tail(clients, source, TAIL), Pace(first=0.3, longest=1)
            # The last lines of a program that died reach CloudWatch a little after its death is known.
            for _ in range(LATE_LOOKS):
                if lines:
                    break
                pace.wait()
                lines = logs.tail(clients, source, TAIL)
            if lines:
                _output.say(f"  last {len(lines)} lines of {source.group} {source.stream_prefix}".rstrip())
            for line in lines:
                _output.say(f"  | {line.text}")
    except TargetError as error:
        # The result is known; that its log cannot be read must not hide it.
        _output.say(f"  (its log cannot be read: {error.what})")


def _interrupted(args: argparse.Namespace, settings: Settings, clients: Clients, started: Started) -> None:
    where = f"--target {clients.target.name}"
    if args.stop_on_interrupt:
        from pipeline.execution import start

        start.stop(settings, clients, started.arn, "stopped by Ctrl-C with --stop-on-interrupt")
        _output.say(f"stopped {started.name}")
        return
    _output.say(f"not following any more; {started.name} goes on")
    _output.say(f"  follow it: pipeline run {args.name} {where} --execution {started.name}")
    _output.say(f"  stop it:   pipeline run {args.name} {where} --execution {started.name} --stop")


def _result(started: Started, step: Step) -> dict[str, object]:
    from pipeline.execution.history import readable_cause

    timeline: Timeline = step.timeline
    culprit = timeline.culprit()
    return {
        **started.as_dict(),
        "status": step.status,
        "error": step.description.get("error") or timeline.error,
        "cause": readable_cause(step.description.get("cause") or timeline.cause),
        "failed_state": culprit.name if culprit else "",
        "started": step.description.get("startDate"),
        "stopped": step.description.get("stopDate"),
        "output": step.description.get("output"),
        "states": [visit.as_dict() for visit in timeline.visits],
    }
