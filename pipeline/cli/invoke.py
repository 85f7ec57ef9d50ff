"""`pipeline invoke`: one request to the endpoint, as any client would send it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.execution.invoke import Answer

HELP = "send one request to the endpoint"
EPILOG = """\
examples:
  pipeline invoke iris                                    the smoke request of the settings
  pipeline invoke iris --body 5.1,3.5,1.4,0.2
  pipeline invoke iris --file rows.csv --accept text/csv
  echo '{"instances": [[5.1,3.5,1.4,0.2]]}' | pipeline invoke iris --file - --content-type application/json
  pipeline invoke mask_rcnn --file tile.png --accept image/png --out masks.png

The bytes of the answer reach stdout (or --out FILE) unchanged; text gets a newline at its end on stdout.
An answer that is not text is not printed on a terminal. With --json it is base64, and "encoding" says so.
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
    parser.add_argument("--out", metavar="FILE", help="write the answer there, as it is, instead of stdout")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    import sys

    from pipeline.cli import _target
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
    _give(answer, args.out, as_json=args.json)
    return 0


def _give(answer: Answer, out: str | None, *, as_json: bool) -> None:
    """The answer where it was asked for: file, JSON, or stdout.

    Raises:
        SettingsError: the file cannot be written, or stdout is a terminal and the answer no text.
    """
    import sys
    from pathlib import Path

    from pipeline.cli import _output
    from pipeline.errors import SettingsError

    if out:
        try:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            Path(out).write_bytes(answer.content)
        except OSError as error:
            raise SettingsError(f"cannot write the answer: {error.strerror}", where=out) from error
    if as_json:
        _output.print_json(answer.as_dict())
        return
    text = answer.text
    if not out and text is None:
        if sys.stdout.isatty():
            raise SettingsError(
                f"the answer is no text ({answer.content_type or 'no content type'},"
                f" {len(answer.content)} bytes): not printed on a terminal",
                hint="--out FILE writes it as it is; so does `> FILE`",
            )
        sys.stdout.flush()
        sys.stdout.buffer.write(answer.content)
        sys.stdout.buffer.flush()
    elif not out and text is not None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    where = f"written to {out}: " if out else ""
    _output.say(f"{where}{answer.content_type}, {answer.latency_ms:.0f} ms, variant {answer.variant}")
