"""`pipeline local fault`: what the local target is to do wrong next, as AWS would."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "let something fail as it may on AWS: spot loss, no capacity, image pull, memory"
DESCRIPTION = """\
Write down a fault that strikes the next thing of its kind, once (or --times). What happens then is what AWS
does, in its words; docs/how-to/survive-faults.md says how each run ends and how it resumes. Without KIND:
what waits to strike, and what that missed: a job may end before its fault's time."""
EPILOG = """\
kinds:
  spot-loss                 a training job on spot instances loses them after --after s of training; others
                            come after --gone s (negative: never), and it resumes from its checkpoint
  no-spot                   no spot instances come free until MaxWaitTimeInSeconds is over
  capacity                  a job fails with CapacityError
  quota                     creating a job or an endpoint is refused with ResourceLimitExceeded
  image-pull                a job's image cannot be pulled
  endpoint-capacity         a deployment finds no instances (InsufficientInstanceCapacity)
  endpoint-memory           a deployment's containers are killed for their memory as they start
  endpoint-memory-serving   a container that serves is killed for its memory

examples:
  pipeline local fault spot-loss --prefix iris-dev --after 0.5
  pipeline local fault capacity --prefix iris-dev --times 2
  pipeline local fault --clear
"""
KINDS = (
    "spot-loss",
    "no-spot",
    "capacity",
    "quota",
    "image-pull",
    "endpoint-capacity",
    "endpoint-memory",
    "endpoint-memory-serving",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("kind", nargs="?", metavar="KIND", choices=KINDS, help="see below")
    parser.add_argument(
        "--prefix", default="", metavar="NAME", help="of the names it strikes (default: any job or endpoint)"
    )
    parser.add_argument("--times", type=int, default=1, metavar="N", help="how often (default: once)")
    parser.add_argument(
        "--after", type=float, default=0.5, metavar="SECONDS", help="spot-loss: of training (default: 0.5)"
    )
    parser.add_argument(
        "--gone", type=float, default=0.0, metavar="SECONDS", help="spot-loss: until others come (default: 0)"
    )
    parser.add_argument(
        "--checkpointed",
        action="store_true",
        help="spot-loss: not before something of a checkpoint was uploaded",
    )
    parser.add_argument("--clear", action="store_true", help="forget all that wait")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(root: Path, args: argparse.Namespace) -> int:
    """Write a fault down, show those that wait, or forget them."""
    from dataclasses import asdict

    from pipeline.cli._output import print_json, table
    from pipeline.errors import SettingsError
    from pipeline.local import faults
    from pipeline.local.paths import StatePaths

    folder = StatePaths.of(root).folder

    if args.times < 1:
        raise SettingsError(f"{args.times} times is never", where="--times")
    if args.clear and args.kind:
        raise SettingsError("--clear forgets all kinds", hint="leave KIND out")
    if args.clear:
        faults.clear(folder)
    elif args.kind:
        fault = faults.Fault(args.kind, args.prefix, args.times, args.after, args.gone, args.checkpointed)
        faults.add(folder, fault)
    there = faults.waiting(folder)
    if args.json:
        print_json([asdict(each) for each in there])
    elif there:
        rows = [(each.kind, each.prefix or "any", each.times) for each in there]
        print(table(rows, headers=("KIND", "STRIKES", "TIMES")))
        for each in there:
            if each.missed:
                print(f"{each.kind} missed {each.missed}")
    else:
        print("no fault waits")
    return 0
