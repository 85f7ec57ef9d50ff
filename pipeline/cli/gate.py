"""`pipeline gate`: what the gate decided in a run, and by which numbers."""

from __future__ import annotations

import argparse
from typing import Any

HELP = "what the gate decided in a run, and the arithmetic behind it"
EPILOG = """\
examples:
  pipeline gate iris                        the newest verdict
  pipeline gate iris --explain              every number that decided it
  pipeline gate iris --execution last       of the last run, and no other
  pipeline gate mnist --page report.html    the evaluation's page: confusion matrix, worst mistakes
  pipeline gate iris -e production --json

`improvement` is positive where the new model is better than the one that served, whatever the metric's
direction; the interval says how sure that is. What counts: docs/explanation/gate.md.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument(
        "--execution", metavar="ARN|NAME", help="of this run, or `last` (default: newest that was judged)"
    )
    parser.add_argument("--explain", action="store_true", help="show the whole arithmetic")
    parser.add_argument(
        "--page", metavar="FILE", help="write the evaluation's HTML page there, if it left one"
    )
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from pipeline.cli import _output, _target
    from pipeline.errors import ExecutionError
    from pipeline.execution import gate

    settings, clients = _target.resolve(args)
    found = gate.find(settings, clients, args.execution)
    if args.page:
        text = gate.page(clients, found)
        if not text:
            raise ExecutionError(
                f"its evaluation left no {gate.PAGE}",
                where=found["report"] or found["execution"],
                hint="an evaluation may write one beside evaluation.json, as container/mnist does",
            )
        Path(args.page).write_text(text, encoding="utf-8")
        _output.say(f"wrote {args.page}")
    if args.json:
        _output.print_json(found)
        return 0
    print(_head(found))
    print(found["explanation"] if args.explain else _table(found))
    return 0


def _head(found: dict[str, Any]) -> str:
    from pipeline.cli import _output

    verdict = _output.paint("passed", "green") if found["approved"] else _output.paint("rejected", "red")
    lines = [f"{found['execution']} ({found['status']}): {verdict}"]
    if found.get("again"):
        lines.append(f"  used again: {found['again']}")
    if found.get("judged_in"):
        lines.append(f"  judged in {found['judged_in'].rpartition(':')[2]}")
    return "\n".join(lines)


def _table(found: dict[str, Any]) -> str:
    from pipeline.cli import _output

    if not found["results"]:
        return f"  {found['reason']}"
    rows = []
    for result in found["results"]:
        told = result.get("comparison") or {}
        interval = f"{_signed(told['low'])} to {_signed(told['high'])}" if "low" in told else "-"
        rows.append(
            (
                "ok" if result["passed"] else "x",
                result["metric"],
                _number(result["value"]),
                result["bound"],
                _number(told.get("champion")),
                _signed(told.get("improvement")),
                interval if told.get("method") != "plain" else "-",
                "" if told.get("rows") is None else told["rows"],
            )
        )
    headers = ("", "metric", "value", "bound", "champion", "improvement", "interval", "rows")
    why = found["champion"].get("why") or "no comparison asked for"
    return "\n".join([_output.table(rows, headers, indent="  "), f"  champion: {why}"])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4g}"
