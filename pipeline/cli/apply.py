"""`pipeline apply`: make the target what the settings say, by executing a plan."""

from __future__ import annotations

import argparse

HELP = "carry out a plan: account stack, code, image, pipeline stack"
EPILOG = """\
examples:
  pipeline apply iris                       plan, show it, ask, apply
  pipeline apply iris --yes                 do not ask; this is what a script needs
  pipeline apply iris --plan plan.json      exactly the plan that was reviewed, or refuse
  pipeline apply iris --asl edited.json     a workflow edited by hand; the next apply without it puts the
                                            definition's back

A plan that was reviewed is held against one made now. If anything else would happen, nothing does, and the
difference is told: the working tree moved (another commit came in between), the image tag moved, or the
deployed stack moved. Safe to interrupt and to run again; a second apply at the same time waits for the first.
A change that fails is rolled back, and the cause of the failing resource is shown.

exit codes: 0 applied, or nothing to do; 1 not applied: the answer was no, or there was nobody to ask;
2 bad input; 3 the target cannot be reached or refuses; 4 the plan is not what would happen now, or a change
failed and was rolled back; 130 interrupted
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _given, _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument("--plan", metavar="FILE", help="a plan written by `pipeline plan --out`")
    _given.add_option(parser)
    parser.add_argument(
        "--yes", "-y", action="store_true", help="do not ask (without a plan, a script has to say so)"
    )
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from pipeline.apply import apply
    from pipeline.cli import _given, _output, _plan, _target
    from pipeline.plan import compute, load, require_same

    reviewed = load(Path(args.plan)) if args.plan else None
    settings, clients = _target.resolve(args)
    settings = _given.with_workflow(args, settings)
    plan = compute(settings, clients)
    if reviewed is not None:
        require_same(reviewed, plan, args.plan)
    # With --json stdout is the answer alone; what will be done is shown all the same.
    show = _output.say if args.json else print
    show(_plan.describe(plan))
    if (
        plan.changes
        and reviewed is None
        and not _output.confirm(
            f"Apply this to {settings.environment_name} on target {clients.target.name}?", yes=args.yes
        )
    ):
        _output.say("nothing was changed")
        return 1
    result = apply(plan, settings, clients, _output.say, reviewed)
    if args.json:
        _output.print_json(result.as_dict())
    elif result.changed:
        print(_output.paint(f"Applied {settings.stack_name}.", "green"))
        for key, value in sorted(result.outputs.items()):
            print(f"  {key} = {value}")
        _output.say(f"next: pipeline run {args.name}{_target.same_environment(args)} --follow")
    return 0
