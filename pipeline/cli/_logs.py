"""Log lines for a person, or one JSON object a line; followed until the run ends."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.cli import _output

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.execution.logs import Line, Source
    from pipeline.execution.start import Started
    from pipeline.settings.model import Settings

# How many runs back a step is looked for.
LOOKED_BACK = 20
STYLES = ("cyan", "green", "yellow", "blue")


def show(args: argparse.Namespace, settings: Settings, clients: Clients) -> int:
    """Print the lines that `args` ask for."""
    from pipeline.aws.pace import Pace
    from pipeline.errors import ExecutionError
    from pipeline.execution import logs, start
    from pipeline.execution.follow import Watcher

    seen: dict[str, None] = {}
    printer = _Printer(args.json)
    if args.step == "endpoint":
        return _endless(args, clients, logs.endpoint_source(settings), printer)
    if args.batch:
        return _batch(args, settings, clients, printer)
    run = _run(args, settings, clients)
    watcher, pace = Watcher(clients, run.arn), Pace(longest=2.0)
    newest: dict[Source, int] = {}
    first = True
    while True:
        step = watcher.look()
        if args.step == "machine":
            machine = logs.machine_source(settings, clients, run.arn, start.machine_arn(settings))
            found = [machine] if machine else []
        else:
            found = logs.sources(step.timeline, clients, args.step)
        if args.step and args.step != "machine" and step.closed and not found:
            known = sorted({v.name for v in step.timeline.visits if v.jobs or v.function})
            if args.step.lower() not in {name.lower() for name in known}:
                raise ExecutionError(
                    f"{args.step} ran no job and no function in {run.name}",
                    hint=f"states with a log: {', '.join(known) or 'none'}; also: endpoint, machine",
                )
        news = False
        for source in found:
            lines = [
                line for line in logs.read(clients, source, newest.get(source)) if _key(line) not in seen
            ]
            if lines:
                newest[source] = max(line.time for line in lines)
                seen.update((_key(line), None) for line in lines)
                printer.print(lines[-args.tail :] if args.tail and first else lines)
                news = True
        first = False
        if not args.follow or step.closed:
            break
        pace.wait(news)
    if not printer.printed and not args.json:
        _output.say(f"no lines in the logs of {run.name}")
    return 0


def _run(args: argparse.Namespace, settings: Settings, clients: Clients) -> Started:
    """The run that is asked for; without a choice the last one, or the last that came to the step.

    A run that found nothing new has no training log; who asks for one means the run before.
    """
    from pipeline.execution import start
    from pipeline.execution.follow import Watcher

    run = start.find(settings, clients, args.execution or "last")
    if args.execution or not args.step or args.step == "machine":
        return run
    for summary in start.last(settings, clients, LOOKED_BACK):
        step = Watcher(clients, summary["executionArn"]).look()
        if not step.closed and summary["executionArn"] == run.arn:
            return run  # it may still come to it
        if any(v.name.lower() == args.step.lower() and (v.jobs or v.function) for v in step.timeline.visits):
            if summary["executionArn"] == run.arn:
                return run
            _output.say(f"{args.step} did not run in {run.name}; this is {summary['name']}")
            return start.find(settings, clients, summary["executionArn"])
    return run


def _batch(args: argparse.Namespace, settings: Settings, clients: Clients, printer: _Printer) -> int:
    """The log of a `pipeline batch`: the one that was started last, or the one that is named."""
    from pipeline.execution import batch, logs

    job = args.batch if args.batch != "last" else batch.newest(settings, clients)
    (source,) = logs.batch_sources(job)
    return _endless(args, clients, source, printer)


def _endless(args: argparse.Namespace, clients: Clients, source: Source, printer: _Printer) -> int:
    """A log without an end of its own: with --follow until Ctrl-C."""
    from pipeline.aws.pace import Pace
    from pipeline.execution import logs

    pace, seen, newest = Pace(longest=2.0), set[str](), None
    first = True
    while True:
        lines = [line for line in logs.read(clients, source, newest) if _key(line) not in seen]
        if lines:
            newest = max(line.time for line in lines)
            seen.update(map(_key, lines))
            printer.print(lines[-args.tail :] if args.tail and first else lines)
        first = False
        if not args.follow:
            break
        pace.wait(news=bool(lines))
    if not printer.printed and not args.json:
        _output.say(f"no lines in {source.group} {source.stream_prefix}".rstrip())
    return 0


def _key(line: Line) -> str:
    return line.event_id or f"{line.stream} {line.time} {line.text}"


class _Printer:
    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._style: dict[str, str] = {}
        self.printed = False

    def print(self, lines: list[Line]) -> None:
        for line in lines:
            self.printed = True
            if self._json:
                print(json.dumps(line.as_dict(), ensure_ascii=False), flush=True)
                continue
            style = self._style.setdefault(line.step, STYLES[len(self._style) % len(STYLES)])
            clock = datetime.fromtimestamp(line.time / 1000, UTC).strftime("%H:%M:%S")
            print(f"{_output.paint(f'{clock} {line.step}', style)}  {line.text}", flush=True)
        sys.stdout.flush()
