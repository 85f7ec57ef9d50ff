"""`pipeline drift`: what runs and is not what the repository says."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.plan.model import Plan
    from pipeline.settings.model import Settings

HELP = "what runs and is not what the repository says: stack, hand-made changes, endpoint"
EPILOG = """\
examples:
  pipeline drift iris -e production
  pipeline drift iris --detailed-exitcode     0 none, 10 something drifted
  pipeline drift iris --markdown drift.md     a table for an issue

Looks at four things and changes none: what `apply` would change, what CloudFormation's own drift detection
finds changed by hand, whether the endpoint runs what the last run deployed and tested, and what the last
comparison of requests with the training data found (`pipeline monitor`). An environment that takes releases
is compared with what was released to it, not with main."""

DRIFTED = 10


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument("--markdown", metavar="FILE", help="write the differences as Markdown, too")
    parser.add_argument("--detailed-exitcode", action="store_true", help="exit 10 if anything drifted")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from pipeline.cli import _output, _target
    from pipeline.lineage import drift

    settings, clients = _target.resolve(args)
    found = drift.find(settings, clients, lambda commit: _plan_of(args, settings, commit))
    if args.markdown:
        Path(args.markdown).write_text(drift.markdown(found) or "No drift.\n", encoding="utf-8")
    if args.json:
        _output.print_json({"endpoint": settings.stack_name, "drift": [each.as_dict() for each in found]})
    else:
        for each in found:
            print(f"{_output.paint(each.kind, 'yellow')}: {each.where}: {each.what}\n    {each.fix}")
        said = f"{len(found)} differences" if found else "no drift"
        print(f"{settings.stack_name}: {said}")
    return DRIFTED if found and args.detailed_exitcode else 0


def _plan_of(args: argparse.Namespace, settings: Settings, commit: str) -> Plan:
    """The plan of a commit's content, made by that commit's own code.

    Raises:
        ApplyError: the commit cannot be planned, or is not in this clone.
    """
    import tempfile
    from pathlib import Path

    from pipeline.cli import _elsewhere
    from pipeline.errors import ApplyError
    from pipeline.plan import load
    from pipeline.promote import content

    root = Path(settings.root)
    with content.checked_out(root, commit) as copy, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.json"
        words = ("plan", settings.name, "-e", settings.environment_name, "--out", str(file))
        done = _elsewhere.run(copy, root, args, *words, quiet=True)
        if done.returncode:
            raise ApplyError(
                f"what was released, {commit[:12]}, cannot be planned: {done.stderr.strip()[-600:]}",
                where=settings.stack_name,
                hint="git fetch --tags, then try again",
            )
        return load(file)
