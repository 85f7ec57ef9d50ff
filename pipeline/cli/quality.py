"""`pipeline quality`: what was found in a run's data before anything was trained on it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HELP = "whether a run's data kept its rules, and what was measured"
EPILOG = """\
examples:
  pipeline quality iris                     the newest verdict: what was broken, or that all is well
  pipeline quality iris --all               every rule: measured, allowed
  pipeline quality iris --execution last    of the last run, and no other
  pipeline quality iris --bad-rows bad.jsonl     the rows in quarantine, each with its reason
  pipeline quality iris --json

What the rules are, and what becomes of bad rows: docs/explanation/data-quality.md.
"""
WIDEST = 60


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument(
        "--execution", metavar="ARN|NAME", help="of this run, or `last` (default: newest that was judged)"
    )
    parser.add_argument("--all", action="store_true", help="show every rule, not only those that were broken")
    parser.add_argument(
        "--bad-rows",
        metavar="FILE",
        help="write the bad rows there as JSON lines, also those within the limit",
    )
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline.cli import _output, _target
    from pipeline.execution import data_quality

    settings, clients = _target.resolve(args)
    found = data_quality.find(settings, clients, args.execution)
    if args.bad_rows:
        count = _write(args.bad_rows, data_quality.bad_rows(clients, found))
        _output.say(f"wrote {count:,} bad rows to {args.bad_rows}")
    if args.json:
        _output.print_json(found)
        return 0
    verdict = _output.paint("passed", "green") if found["passed"] else _output.paint("rejected", "red")
    print(f"{found['execution']} ({found['status']}): data {verdict}")
    print(_table(found["results"]) if args.all and found["results"] else _words(found))
    print(f"  report: {found['report']}")
    return 0


def _write(name: str, lines: Iterable[str]) -> int:
    count = 0
    with Path(name).open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(f"{line}\n")
            count += 1
    return count


def _words(found: dict[str, Any]) -> str:
    lines = found["failed"] or [found["reason"]]
    return "\n".join(f"  {line}" for line in [*lines, *([found["notes"]] if found["notes"] else [])])


def _table(results: list[dict[str, Any]]) -> str:
    from pipeline.cli import _output

    rows = [
        (
            "ok" if each["passed"] else "x" if each["stops"] else "!",
            "/".join(part for part in (each["transform"], each["frame"]) if part),
            each["rule"],
            each["column"][:WIDEST],
            each["measured"],
            each["allowed"],
            each["example"][:WIDEST],
            # Reports of an older library do not know it.
            each.get("at", ""),
        )
        for each in results
    ]
    headers = ("", "frame", "rule", "column", "measured", "allowed", "example", "where")
    return _output.table(rows, headers, indent="  ")
