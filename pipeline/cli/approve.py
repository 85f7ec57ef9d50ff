"""`pipeline approve`: let a model that waits for a person go on to the endpoint, or stop it."""

from __future__ import annotations

import argparse

HELP = "approve (or reject) the model that a run waits with"
EPILOG = """\
examples:
  pipeline approve iris                                  the one that waits
  pipeline approve iris --reject --reason "bias in class 2"
  pipeline approve iris --execution 20261121-1a2b3c4-0f9e8d7c
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument(
        "--execution", metavar="ARN|NAME", help="which run (default: the only one that waits)"
    )
    parser.add_argument("--reject", action="store_true", help="do not deploy it; the run fails")
    parser.add_argument("--reason", default="", help="why; kept in the run's history")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline.cli import _output, _target
    from pipeline.execution import approve

    settings, clients = _target.resolve(args)
    decision = approve.decide(settings, clients, args.execution, approved=not args.reject, reason=args.reason)
    if args.json:
        _output.print_json(decision)
    else:
        subject = decision["model_package_arn"] or decision["execution"]
        print(f"{'rejected' if args.reject else 'approved'} {subject}")
        _output.say(f"follow it: pipeline run {args.name} --execution {decision['execution']}")
    return 0
