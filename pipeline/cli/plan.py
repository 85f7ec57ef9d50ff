"""`pipeline plan`: what apply would change, by resource, workflow, rights and cost. Nothing is touched."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.plan import Plan
    from pipeline.plan.report import Report, Smoke
    from pipeline.settings.model import Settings

HELP = "show what apply would change, and why; nothing is touched"
EPILOG = """\
examples:
  pipeline plan iris                        what would change in the default environment
  pipeline plan iris -e staging --out plan.json --markdown plan.md
  pipeline apply iris --plan plan.json      apply exactly that, or refuse
  pipeline plan iris --smoke                and train, gate and serve it on the sample data, somewhere else
  pipeline plan iris --offline --base main  no credentials, no target: against a commit
  pipeline plan iris --asl edited.json      with a workflow edited by hand (render --asl-only --stdout)
  pipeline plan iris --detailed-exitcode    0 nothing to change, 10 something to change

Besides resources it shows what changes in the workflow (states and ways), whom it lets do what, what the next
run would do and skip, and what a run and a month cost beside today. Computed by comparison; no change set is
made. With --smoke a whole run happens in a local target of its own, which is gone afterwards.

exit codes: 0 well, 1 the smoke run ended badly (all is shown and written all the same), 2 bad input or a
definition that cannot be rendered, 3 the target cannot be reached or refuses, 10 only with
--detailed-exitcode: something would change
"""
CHANGES = 10


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _given, _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    _given.add_option(parser)
    parser.add_argument(
        "--out", metavar="FILE", help="write the plan, to be given to `pipeline apply --plan`"
    )
    parser.add_argument("--markdown", metavar="FILE", help="write the report as a pull request's comment")
    parser.add_argument("--svg", metavar="FILE", help="draw the workflow with what changes in colour")
    parser.add_argument("--smoke", action="store_true", help="run it all on the sample data, and compare")
    parser.add_argument(
        "--offline", action="store_true", help="ask no target: compare with a commit of this repository"
    )
    parser.add_argument(
        "--base", metavar="REF", help="with --offline: the commit (default: origin's main branch, or main)"
    )
    parser.add_argument("--detailed-exitcode", action="store_true", help="exit 10 if anything would change")
    parser.add_argument("--full", action="store_true", help="show whole values, not their beginnings")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline.cli import _output, _plan, _plan_report
    from pipeline.errors import SettingsError
    from pipeline.plan.report import build

    if args.base and not args.offline:
        raise SettingsError(
            "--base is for --offline", hint="a plan is otherwise held against what is deployed"
        )
    if args.smoke and args.asl:
        raise SettingsError("--smoke runs what the repository says", hint="leave --asl or --smoke out")
    settings, plan, facts = _compute(args)
    smoke = _smoke(settings) if args.smoke else None
    report = build(plan, facts, smoke)
    _write(args, plan, report)
    if args.json:
        _output.print_json({**plan.as_dict(), "report": report.as_dict()})
    else:
        print(_plan.describe(plan, full=args.full))
        print(_plan_report.describe(report, full=args.full))
        _next(args, plan)
    if smoke is not None and (smoke.status != "SUCCEEDED"):
        return 1
    return CHANGES if args.detailed_exitcode and plan.changes else 0


def _compute(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    from pipeline import settings as store
    from pipeline.cli import _given, _target
    from pipeline.plan import compute

    if args.offline:
        from pipeline.plan import offline

        settings = store.load(store.find_root(), args.name, args.environment)
        settings = _given.with_workflow(args, settings)
        plan = offline.compute(settings, args.base)
        return settings, plan, offline.facts(plan)
    from pipeline.plan.observed import observe

    settings, clients = _target.resolve(args)
    settings = _given.with_workflow(args, settings)
    plan = compute(settings, clients)
    return settings, plan, observe(plan, settings, clients)


def _smoke(settings: Settings) -> Smoke:
    from pipeline.cli import _ephemeral, _output

    return _ephemeral.smoke(settings, _output.say)


def _write(args: argparse.Namespace, plan: Plan, report: Report) -> None:
    from pipeline.graph.compare import compared
    from pipeline.plan import dump
    from pipeline.plan.report_markdown import markdown

    if args.out:
        _file(args.out, dump(plan))
    if args.markdown:
        _file(args.markdown, markdown(plan, report))
    if args.svg:
        title = f"{plan.pipeline_stack.stack_name} against {plan.against}"
        _file(args.svg, compared(report.asl_before, report.asl_after, report.graph.changed, "svg", title))


def _file(name: str, text: str) -> None:
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _next(args: argparse.Namespace, plan: Plan) -> None:
    from pipeline.cli import _output, _target

    apply = f"pipeline apply {args.name}{_target.same_environment(args)}"
    apply += f" --asl {shlex.quote(args.asl)}" if args.asl else ""
    for name in filter(None, (args.markdown, args.svg)):
        _output.say(f"written to {name}")
    if args.out:
        _output.say(f"written to {args.out}; next: {apply} --plan {args.out}")
    elif plan.changes and not args.offline:
        _output.say(f"next: {apply}")
