"""The command line: parse, call one function, print.

One module a verb, named as the verb; each has `HELP` (one line), `configure(parser)` and
`run(args) -> int`. Verb modules import what they need inside `run`, so that `pipeline --help`
costs nothing. Exit codes: 0 well, 1 a run ended badly, 2 bad input, 3 target unreachable,
4 a change failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import json
import os
import sys
from collections.abc import Sequence

from pipeline import __version__
from pipeline.cli import _target
from pipeline.errors import ErrorGroup, PipelineError

VERBS = (
    "new",
    "settings",
    "render",
    "check",
    "container",
    "plan",
    "smoke",
    "apply",
    "account",
    "data",
    "run",
    "status",
    "quality",
    "gate",
    "logs",
    "graph",
    "invoke",
    "batch",
    "monitor",
    "approve",
    "promote",
    "rollback",
    "trace",
    "drift",
    "orphans",
    "ci",
    "down",
    "local",
)

DESCRIPTION = """\
GitOps for machine learning on AWS: settings -> definition -> render -> check -> plan -> apply -> run.
Everything happens on this machine unless --target aws (or PIPELINE_TARGET=aws) is given."""
EPILOG = """\
start with:
  pipeline check                    what would be deployed, without touching anything
  pipeline apply iris               deploy it
  pipeline data iris put            yesterday's data, from the sample
  pipeline run iris --follow        train, evaluate, gate, serve
  pipeline invoke iris              ask the endpoint

exit codes: 0 well, 1 a run ended badly, 2 bad input, 3 the target cannot be reached or refuses,
4 a change failed, 130 interrupted. Each verb explains itself: pipeline VERB --help"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, each verb's options included."""
    parser = argparse.ArgumentParser(
        prog="pipeline",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pipeline {__version__}")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        module = importlib.import_module(f"pipeline.cli.{verb}")
        sub = verbs.add_parser(
            verb,
            help=module.HELP,
            description=getattr(module, "DESCRIPTION", module.HELP),
            epilog=getattr(module, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.configure(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit code. Known errors are printed, not raised."""
    _open_what_is_closed()
    args = build_parser().parse_args(argv)
    debug = args.debug or os.environ.get("PIPELINE_DEBUG") == "1"
    try:
        with _target.repository_of_the_local_remote(args):
            return int(args.run(args) or 0)
    except PipelineError as error:
        if debug:
            raise
        if getattr(args, "json", False):
            found = error.errors if isinstance(error, ErrorGroup) else [error]
            print(json.dumps({"errors": [{"where": e.where, "what": e.what, "hint": e.hint} for e in found]}))
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (`| head`) went away; that is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if debug:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror or error}", file=sys.stderr)
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT):
            print("  hint: is the folder yours to write, and the disk not full?", file=sys.stderr)
        return 1
    except Exception as error:
        if debug:
            raise
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        print(
            "  hint: this is a fault of pipeline, not of yours: `pipeline --debug ...` shows where",
            file=sys.stderr,
        )
        return 1


def _open_what_is_closed() -> None:
    """Give a process that was started without stdin, stdout or stderr (`<&-`, some daemons) empty ones."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - it stays open
