"""`pipeline logs`: the log of a run's jobs and functions, by the names of the states."""

from __future__ import annotations

import argparse

HELP = "logs of a run, by state"
EPILOG = """\
examples:
  pipeline logs iris                        every state of the last run
  pipeline logs iris Train --tail 50        the newest training job, though later runs found nothing new
  pipeline logs iris --follow               as it comes
  pipeline logs iris endpoint               what the endpoint's containers print
  pipeline logs iris --batch                what the last `pipeline batch` printed
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument(
        "step", metavar="STEP", nargs="?", help="a state such as Train; or `endpoint`, `machine`"
    )
    parser.add_argument(
        "--batch",
        metavar="JOB",
        nargs="?",
        const="last",
        help="of a `pipeline batch` instead of a run (default: the one started last)",
    )
    parser.add_argument(
        "--execution",
        metavar="ARN|NAME|last",
        help="which run (default: the last; with STEP, the last in which it ran)",
    )
    parser.add_argument("--follow", "-f", action="store_true", help="go on as lines come, until the run ends")
    parser.add_argument("--tail", type=int, metavar="N", help="only the last N lines of each stream")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline.cli import _logs, _target
    from pipeline.errors import SettingsError

    if args.batch and (args.step or args.execution):
        raise SettingsError("--batch is no part of a run", hint=f"pipeline logs {args.name} --batch")
    settings, clients = _target.resolve(args)
    return _logs.show(args, settings, clients)
