"""`pipeline status`: what is deployed, what ran last, what serves, and whether that is what is desired."""

from __future__ import annotations

import argparse

HELP = "stack, last runs, model and endpoint, and whether they drifted"
EPILOG = """\
examples:
  pipeline status                           every pipeline of the repository
  pipeline status iris -n 10                with its last ten runs
  pipeline status iris --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", nargs="?", help="the pipeline (default: all)")
    parser.add_argument("-n", "--last", type=int, default=5, metavar="N", help="how many runs (default: 5)")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline.cli import _output, _status, _target
    from pipeline.execution import status

    everything, clients = _target.resolve_all(args)
    reports = [status.report(settings, clients, args.last) for settings in everything]
    if args.json:
        _output.print_json(reports[0] if args.name else reports)
    else:
        print("\n\n".join(_status.describe(report) for report in reports))
    return 0
