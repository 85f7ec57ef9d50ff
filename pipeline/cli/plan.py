"""`pipeline plan`: what apply would change, by resource and property, and why. Nothing is touched."""

from __future__ import annotations

import argparse

HELP = "show what apply would change, and why; nothing is touched"
EPILOG = """\
examples:
  pipeline plan iris                        what would change in the default environment
  pipeline plan iris -e staging --out plan.json
  pipeline apply iris --plan plan.json      apply exactly that, or refuse
  pipeline plan iris --detailed-exitcode    0 nothing to change, 10 something to change

The plan is computed by comparing the deployed templates with the rendered ones; no change set is made.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument(
        "--out", metavar="FILE", help="write the plan, to be given to `pipeline apply --plan`"
    )
    parser.add_argument("--detailed-exitcode", action="store_true", help="exit 10 if anything would change")
    parser.add_argument("--full", action="store_true", help="show whole values, not their beginnings")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from pipeline.cli import _output, _plan, _target
    from pipeline.plan import compute, dump

    settings, clients = _target.resolve(args)
    plan = compute(settings, clients)
    if args.out:
        Path(args.out).parent.mkdir(parents=True, exist_ok=True)
        Path(args.out).write_text(dump(plan))
    if args.json:
        _output.print_json(plan.as_dict())
    else:
        print(_plan.describe(plan, full=args.full))
        if args.out:
            _output.say(f"written to {args.out}; next: pipeline apply {args.name} --plan {args.out}")
        elif plan.changes:
            _output.say(f"next: pipeline apply {args.name}")
    return 10 if args.detailed_exitcode and plan.changes else 0
