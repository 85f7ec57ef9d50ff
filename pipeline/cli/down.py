"""`pipeline down`: remove what apply and the runs made, and say what is left."""

from __future__ import annotations

import argparse

HELP = "remove what apply and the runs made; list what is left"
EPILOG = """\
examples:
  pipeline down iris                        asks, then stops its runs, removes endpoint, models, stack
  pipeline down iris --yes --keep-models    keep the registered model packages
  pipeline down iris --data --yes           its uploaded data and trained models in S3 too
  pipeline down iris --all --yes            the account stack as well, if no other pipeline stands

Safe to run again; what is gone already is no error.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
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
    from pipeline.execution import down

    settings, clients = _target.resolve(args)
    scope = f"{settings.stack_name} in {settings.environment.account}/{settings.environment.region}"
    what = "and the account stack" if args.all else ""
    if not _output.confirm(f"Remove {scope} {what}?".replace(" ?", "?"), args.yes):
        _output.say("nothing was changed")
        return 0
    result = down.down(
        settings, clients, _output.say, everything=args.all, data=args.data, keep_models=args.keep_models
    )
    if args.json:
        _output.print_json(result.as_dict())
    else:
        print(f"removed {len(result.removed)}, left {len(result.left)}")
        for item in result.left:
            print(f"  left: {item}")
    return 0
