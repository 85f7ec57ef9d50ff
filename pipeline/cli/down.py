"""`pipeline down`: remove what apply and the runs made, and say what is left."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.execution.removal import Down
    from pipeline.settings.model import Settings

HELP = "remove what apply and the runs made; list what is left"
EPILOG = """\
examples:
  pipeline down iris                        asks, then stops its runs, removes endpoint, models, stack
  pipeline down iris --yes --keep-models    keep the registered model packages
  pipeline down iris --data --yes           its uploaded data and trained models in S3 too
  pipeline down iris --all --yes            the account stack as well, if no other pipeline stands
  pipeline down --expired -e dev --yes      all that had no change and no run for ttl_hours

Safe to run again; what is gone already is no error.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", nargs="?", help="the pipeline")
    parser.add_argument(
        "--expired",
        action="store_true",
        help="only what had no change and no run for ttl_hours of its environment (without NAME: of all)",
    )
    parser.add_argument(
        "--all", action="store_true", help="the account stack too (bucket, image repositories)"
    )
    parser.add_argument(
        "--data", action="store_true", help="delete the pipeline's data and model artifacts in S3"
    )
    parser.add_argument("--keep-models", action="store_true", help="keep the registered model packages")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline.cli import _output, _target
    from pipeline.errors import SettingsError

    if args.name is None and not args.expired:
        raise SettingsError("which pipeline?", hint="pipeline down NAME, or --expired for those out of time")
    pipelines, clients = _target.resolve_all(args)
    chosen = [settings for settings in pipelines if not args.expired or _expired(settings, clients)]
    results = {settings.stack_name: _one(args, settings, clients) for settings in chosen}
    if args.expired and not chosen:
        _output.say("nothing has expired")
    if args.json:
        done = {name: result.as_dict() for name, result in results.items() if result}
        _output.print_json(done if args.expired else next(iter(done.values()), {}))
    return 0


def _expired(settings: Settings, clients: Clients) -> bool:
    from datetime import UTC, datetime

    from pipeline.cli import _output
    from pipeline.lineage import expiry

    found = expiry.of(settings, clients)
    if found is None:
        return False
    passed = found.passed(datetime.now(UTC))
    last, until = (moment.isoformat(timespec="minutes") for moment in (found.last, found.ends))
    _output.say(f"{found.stack}: last of use {last}, may stand until {until}")
    return passed


def _one(args: argparse.Namespace, settings: Settings, clients: Clients) -> Down | None:
    from pipeline.cli import _output
    from pipeline.execution import down

    scope = f"{settings.stack_name} in {settings.environment.account}/{settings.environment.region}"
    what = "and the account stack" if args.all else ""
    if not _output.confirm(f"Remove {scope} {what}?".replace(" ?", "?"), args.yes):
        _output.say("nothing was changed")
        return None
    result = down.down(
        settings, clients, _output.say, everything=args.all, data=args.data, keep_models=args.keep_models
    )
    if not args.json:
        print(f"removed {len(result.removed)}, left {len(result.left)}")
        for item in result.left:
            print(f"  left: {item}")
    return result
