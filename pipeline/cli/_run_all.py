"""Every pipeline of the repository once: a few at a time, progress by name, one summary."""

from __future__ import annotations

import argparse
import json
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.cli import _follow, _output
from pipeline.cli._progress import Progress

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.execution.follow import Step
    from pipeline.execution.start import Started
    from pipeline.settings.model import Settings


@dataclass(frozen=True)
class Outcome:
    """How one pipeline's run went.

    Args:
        status: of the execution; `not started` if it never came to one.
        seconds: that the execution took.
        ended: the state it ended in, or why it did not end well.
        metrics: the gate's, by name.
    """

    name: str
    status: str
    seconds: float = 0.0
    ended: str = ""
    metrics: dict[str, float] | None = None
    arn: str = ""

    @property
    def well(self) -> bool:
        return self.status == "SUCCEEDED"


def run_all(args: argparse.Namespace) -> int:
    """Run them all; 0 if every run succeeded."""
    from pipeline.cli import _target

    # All settings are read before anything is started.
    args.name = None
    wanted, clients = _target.resolve_all(args)
    runs = _Runs(args, clients)
    width = max(len(settings.name) for settings in wanted)
    outcomes: dict[str, Outcome] = {}
    with ThreadPoolExecutor(max_workers=args.parallel, thread_name_prefix="run") as pool:
        futures = {pool.submit(runs.one, settings, width): settings.name for settings in wanted}
        try:
            for future in as_completed(futures):
                outcomes[futures[future]] = future.result()
        except KeyboardInterrupt:
            runs.interrupted()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    _show(args, [outcomes[settings.name] for settings in wanted])
    return 0 if all(outcome.well for outcome in outcomes.values()) else 1


class _Runs:
    """The runs under way, so that an interruption can say of each what becomes of it."""

    def __init__(self, args: argparse.Namespace, clients: Clients) -> None:
        self.args, self.clients = args, clients
        self._stopped = threading.Event()
        self._under_way: dict[str, tuple[Settings, Started]] = {}
        # Two applies at once would plan the same account stack.
        self._applying = threading.Lock()

    def one(self, settings: Settings, width: int) -> Outcome:
        """A pipeline's run from its start to its end."""
        from pipeline.errors import PipelineError
        from pipeline.execution import sandbox, start

        def say(text: str) -> None:
            for line in text.splitlines():
                _output.say(f"{settings.name.ljust(width)} | {line}")

        if self._stopped.is_set():
            return Outcome(settings.name, "not started", ended="interrupted")
        try:
            with self._applying:
                sandbox.make_ready(settings, self.clients, say)
            started = start.start(
                settings,
                self.clients,
                date=self.args.date,
                force=self.args.force,
                pull_request=self.args.pull_request,
                run_url=self.args.run_url,
            )
            say(f"{'attached to' if started.attached else 'started'} {started.name}")
            self._under_way[settings.name] = (settings, started)
            step = self._watch(started, say)
            del self._under_way[settings.name]
        except PipelineError as error:
            say(f"error: {error}")
            return Outcome(settings.name, "not started", ended=error.what)
        return _outcome(settings.name, started, step)

    def _watch(self, started: Started, say: Any) -> Step:
        from pipeline.aws.pace import Pace
        from pipeline.errors import ExecutionError
        from pipeline.execution.follow import Watcher

        watcher, pace, told = Watcher(self.clients, started.arn), Pace(longest=2.0), set[int]()
        progress = Progress(self.clients)
        while not self._stopped.is_set():
            step = watcher.look()
            for visit in step.changed:
                if visit.status != "running" and id(visit) not in told and (visit.jobs or visit.error):
                    told.add(id(visit))
                    say(_follow.line(visit).strip())
            if step.closed:
                return step
            for text in progress.lines(step):
                say(text)
            pace.wait(news=bool(step.changed))
        raise ExecutionError("interrupted", where=started.name)

    def interrupted(self) -> None:
        """Say what goes on, or stop it if that was asked for."""
        from pipeline.execution import start

        self._stopped.set()
        for settings, started in list(self._under_way.values()):
            if self.args.stop_on_interrupt:
                start.stop(settings, self.clients, started.arn, "stopped by Ctrl-C with --stop-on-interrupt")
                _output.say(f"stopped {started.name}")
            else:
                again = f"pipeline run {settings.name} --execution {started.name}"
                _output.say(f"{started.name} goes on: {again}")


def _outcome(name: str, started: Started, step: Step) -> Outcome:
    from pipeline.execution.history import readable_cause

    took = (step.description["stopDate"] - step.description["startDate"]).total_seconds()
    if step.status == "SUCCEEDED":
        last = step.timeline.visits[-1].name if step.timeline.visits else ""
        gate = json.loads(step.description.get("output") or "{}").get("gate") or {}
        known = {key: value for key, value in (gate.get("metrics") or {}).items() if value is not None}
        return Outcome(name, step.status, took, last, known, started.arn)
    error = step.description.get("error") or step.timeline.error
    cause = readable_cause(step.description.get("cause") or step.timeline.cause)
    return Outcome(name, step.status, took, f"{error}: {cause}".strip(": "), None, started.arn)


def _show(args: argparse.Namespace, outcomes: list[Outcome]) -> None:
    if args.json:
        _output.print_json([outcome.__dict__ for outcome in outcomes])
        return
    rows = []
    for outcome in outcomes:
        metrics = ", ".join(f"{key} {value:.4g}" for key, value in sorted((outcome.metrics or {}).items()))
        ended = outcome.ended if len(outcome.ended) <= 100 else f"{outcome.ended[:97]}..."
        rows.append(
            (
                outcome.name,
                _output.paint(outcome.status, "green" if outcome.well else "red"),
                _output.duration(outcome.seconds) if outcome.seconds else "",
                metrics or ended,
            )
        )
    print(_output.table(rows, headers=("pipeline", "run", "took", "metrics, or what ended it")))
