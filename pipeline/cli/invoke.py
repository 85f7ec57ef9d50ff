"""`pipeline invoke`: one request to the endpoint, as any client would send it."""

from __future__ import annotations

import argparse

HELP = "send one request to the endpoint"
EPILOG = """\
examples:
  pipeline invoke iris                                    the smoke request of the settings
  pipeline invoke iris --body 5.1,3.5,1.4,0.2
  pipeline invoke iris --file rows.csv --accept text/csv
  echo '{"instances": [[5.1,3.5,1.4,0.2]]}' | pipeline invoke iris --file - --content-type application/json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    body = parser.add_mutually_exclusive_group()
    body.add_argument("--body", help="the request's body (default: the settings' smoke request)")
    body.add_argument("--file", metavar="FILE", help="read it from a file; - is stdin")
    parser.add_argument(
        "--content-type", help="default: the settings' smoke request's, or by the file's name"
    )
    parser.add_argument("--accept", help="default: the settings' smoke request's")
    parser.add_argument("--variant", help="send it to this production variant")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    import sys

    from pipeline.cli import _output, _target
    from pipeline.execution import invoke

    body, content_type = invoke.read_body(args.body, args.file, sys.stdin.buffer)
    settings, clients = _target.resolve(args)
    answer = invoke.invoke(
        settings,
        clients,
        body=body,
        content_type=args.content_type or content_type,
        accept=args.accept,
        variant=args.variant,
    )
    if args.json:
        _output.print_json(answer.as_dict())
    else:
        sys.stdout.write(answer.body if answer.body.endswith("\n") else answer.body + "\n")
        _output.say(f"{answer.content_type}, {answer.latency_ms:.0f} ms, variant {answer.variant}")
    return 0
