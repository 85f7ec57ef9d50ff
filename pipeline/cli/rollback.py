"""`pipeline rollback`: put the version back that served before, or a named one; nothing is trained."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.promote.back import RolledBack

HELP = "serve the earlier model again; nothing is trained"
EPILOG = """\
examples:
  pipeline rollback iris -e production      the version that served before
  pipeline rollback iris -e production --reason "wrong for large flowers"
  pipeline rollback iris -e production --to 3
  pipeline rollback iris -e staging --wait  let runs under way end first, instead of stopping them

It goes through the state machine as every deployment does, with its smoke test, but asks nobody. Runs under
way are stopped, for they would deploy over it. Git is not changed: what it says still has to be reverted, and
the command says how. Exit code 4: there is no way back, 1: it was tried and something else serves.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument("--to", metavar="VERSION|ARN", help="a registered version (default: the one before)")
    parser.add_argument("--reason", default="no reason given", help="why; kept in the registry")
    parser.add_argument("--wait", action="store_true", help="wait for runs under way instead of ending them")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    import time
    from pathlib import Path

    from pipeline.cli import _follow, _output, _target
    from pipeline.promote import back, git_way

    began = time.monotonic()
    settings, clients = _target.resolve(args)
    done = back.choose(settings, clients, args.to, args.reason)
    _output.say(
        f"{settings.stack_name}: from version {done.left or '?'} back to version {done.now} ({done.chosen})"
    )
    started = back.begin(settings, clients, done, _output.say, wait=args.wait)
    follow = argparse.Namespace(**{**vars(args), "json": False, "stop_on_interrupt": False})
    code = _follow.follow(follow, settings, clients, started)
    if code:
        return code
    back.finish(settings, clients, done)
    done.seconds = round(time.monotonic() - began, 1)
    done.git = git_way.explain(Path(settings.root), settings, done)
    if args.json:
        _output.print_json(done.as_dict())
    else:
        print(_describe(done))
    return 0


def _describe(done: RolledBack) -> str:
    from pipeline.cli import _output

    head = f"{done.pipeline} in {done.environment} serves version {done.now} again, after {done.seconds} s"
    rows = [
        ("was", f"version {done.left}, now marked as rolled back"),
        ("version", done.package),
        ("config", done.endpoint_config),
        ("stopped", ", ".join(done.stopped)),
    ]
    shown = _output.table([row for row in rows if row[1]], indent="  ")
    return "\n".join([_output.paint(head, "green"), shown, done.git])
