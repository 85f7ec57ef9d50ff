"""`pipeline monitor`: how requests compare with the training data, now or the last time."""

from __future__ import annotations

import argparse
from typing import Any

HELP = "how requests compare with what the model was trained on"
EPILOG = """\
examples:
  pipeline monitor mnist                    what the last comparison found
  pipeline monitor mnist --now              compare now, and start a run if they drifted too far
  pipeline monitor mnist --now --since 2h   only requests of the last two hours
  pipeline monitor mnist --page drift.html  its page, with both distributions of each feature

By itself it happens as [monitor.schedule] says. Exit code 0 if the comparison was carried out, whatever it
found. What is computed: docs/explanation/monitoring.md.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument("--now", action="store_true", help="compare now, and wait for the result")
    parser.add_argument("--since", metavar="TIME", help="with --now: 2h, 30m, 1d or an ISO time")
    parser.add_argument("--page", metavar="FILE", help="write the report's HTML page there")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from pipeline.cli import _output, _target
    from pipeline.errors import ExecutionError, SettingsError
    from pipeline.execution import monitor

    if args.since and not args.now:
        raise SettingsError("--since needs --now", hint="the last comparison has its own time")
    settings, clients = _target.resolve(args)
    code = 0
    if args.now:
        code, found = _compare(args, settings, clients)
    else:
        newest = monitor.last(settings, clients)
        if newest is None:
            raise ExecutionError(
                "requests were never compared",
                where=settings.stack_name,
                hint=f"pipeline monitor {args.name} --now",
            )
        found = newest
    report = monitor.report(clients, found)
    if args.page:
        text = monitor.page(clients, found)
        if not text:
            raise ExecutionError("this comparison made no page", where=found["execution"], hint=found["said"])
        Path(args.page).write_text(text, encoding="utf-8")
        _output.say(f"wrote {args.page}")
    if args.json:
        _output.print_json({**found, "report": report})
    else:
        print(_head(found))
        if report and report["features"]:
            print(_table(report))
    return code


def _compare(args: argparse.Namespace, settings: Any, clients: Any) -> tuple[int, dict[str, Any]]:
    from pipeline.cli import _follow, _output
    from pipeline.execution import monitor

    started = monitor.start(settings, clients, args.since)
    _output.say(f"started {started.name}")
    quiet = argparse.Namespace(**{**vars(args), "json": False, "stop_on_interrupt": False})
    code = _follow.follow(quiet, settings, clients, started)
    return code, monitor.of(clients, started.arn)


def _head(found: dict[str, Any]) -> str:
    from pipeline.cli import _output

    style = "red" if found["drift"] or found["status"] != "SUCCEEDED" else "green"
    return f"{found['execution']}: {_output.paint(found['said'], style)}"


def _table(report: dict[str, Any]) -> str:
    from pipeline.cli import _output

    rows = []
    for name, feature in report["features"].items():
        if not feature["judged"]:
            rows.append((name, "-", feature["why"], "", ""))
        for measure in feature["measures"]:
            limit = "-" if measure["limit"] is None else f"{measure['limit']:g}"
            mark = "ok" if measure["passed"] else "x"
            rows.append((name, measure["measure"], f"{measure['value']:.4f}", limit, mark))
    span = (
        f"{report['requests']} requests, {report['records']} records, {report['since']} to {report['until']}"
    )
    return f"  {span}\n" + _output.table(rows, ("feature", "measure", "value", "limit", ""), indent="  ")
