"""`pipeline orphans`: what costs money and belongs to nothing the repository has."""

from __future__ import annotations

import argparse

HELP = "what costs money and belongs to nothing that the repository has"
EPILOG = """\
examples:
  pipeline orphans                      of the default environment
  pipeline orphans -e staging --delete  asks, then removes what may be removed
  pipeline orphans --detailed-exitcode  0 none, 10 some

Finds stacks of pipelines that are gone from the repository, endpoints without a stack, configs and models
that nothing serves and no rollback needs, jobs that no run waits for, images that no version refers to.
Stacks and images are only told: `pipeline down` and the repository's lifecycle rule are for those."""

FOUND = 10


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("--delete", action="store_true", help="remove them")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    parser.add_argument("--detailed-exitcode", action="store_true", help="exit 10 if there are any")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline.cli import _output, _target
    from pipeline.errors import ApplyError
    from pipeline.lineage import orphans

    args.name = None
    pipelines, clients = _target.resolve_all(args)
    found = orphans.find(pipelines, clients)
    if args.json:
        _output.print_json({"orphans": [each.as_dict() for each in found]})
    else:
        rows = [(each.kind, each.name, each.made, each.why) for each in found]
        print(_output.table(rows, ("kind", "name", "made", "why")) if rows else "no orphans")
    going = [each for each in found if each.remove]
    if args.delete and going and _output.confirm(f"Remove {len(going)} of them?", args.yes):
        left = orphans.remove(going, clients, _output.say)
        if left:
            raise ApplyError("not all could be removed: " + "; ".join(left), hint="try again")
        return 0
    return FOUND if found and args.detailed_exitcode else 0
