"""`pipeline apply`: make the target what the settings say, by executing a plan."""

from __future__ import annotations

import argparse

HELP = "carry out a plan: account stack, code, image, pipeline stack"
EPILOG = """\
examples:
  pipeline apply iris                       plan, ask, apply
  pipeline apply iris --yes                 do not ask
  pipeline apply iris --plan plan.json      exactly the plan that was reviewed, or refuse

Safe to interrupt and to run again; a second apply at the same time waits for the first. A change that
fails is rolled back, and the cause of the failing resource is shown (exit 4).
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument("--plan", metavar="FILE", help="a plan written by `pipeline plan --out`")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask (asked only on a terminal)")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    import sys
    from pathlib import Path

    from pipeline.apply import apply
    from pipeline.cli import _output, _plan, _target
    from pipeline.plan import compute, load, require_same

    reviewed = load(Path(args.plan)) if args.plan else None
    settings, clients = _target.resolve(args)
    plan = compute(settings, clients)
    if reviewed is not None:
        require_same(reviewed, plan, args.plan)
    if not args.json:
        print(_plan.describe(plan))
    # A pipe or CI has nobody to ask and said `apply`; a person at a terminal sees the plan first.
    ask = plan.changes and reviewed is None and not args.yes and not args.json and sys.stdin.isatty()
    if ask and not _output.confirm("Apply this?", yes=False):
        _output.say("nothing was changed")
        return 0
    result = apply(plan, settings, clients, _output.say, reviewed)
    if args.json:
        _output.print_json(result.as_dict())
    elif result.changed:
        print(_output.paint(f"Applied {settings.stack_name}.", "green"))
        for key, value in sorted(result.outputs.items()):
            print(f"  {key} = {value}")
        _output.say(f"next: pipeline run {args.name} --follow")
    return 0
