"""`pipeline graph`: the state machine as a picture, a run's progress in colours."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.graph import Picture

HELP = "the workflow as a picture; a run colours its states, also while it goes on"
EPILOG = """\
examples:
  pipeline graph iris                              Mermaid text, from the definition
  pipeline graph iris --format text                here in the terminal
  pipeline graph iris --live                       the last run, in colours, until it ends
  pipeline graph iris --live --out build/run.svg   and the file drawn anew at each change
  pipeline graph iris --execution last --out build/run.png
  pipeline graph iris --out poster.png --scale 4
  pipeline graph mnist --machine monitor --format svg > monitor.svg

Without --execution or --live nothing is contacted. --out takes the form from the file's ending (.svg, .png,
.mmd, .txt) unless --format says it; another ending is refused. A PNG's sides are at most 2500 pixels unless
--scale says how many pixels a unit of the SVG has. With --live the exit code is the run's: 0 if it succeeded,
else 1. In a notebook: docs/how-to/watch-a-run.md.
"""
FORMS = ("mermaid", "svg", "png", "text")


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument("--format", choices=FORMS, help="default: mermaid, or what --out ends in")
    parser.add_argument(
        "--execution", metavar="ARN|NAME|last", help="colour the states as this run left them"
    )
    parser.add_argument(
        "--live", action="store_true", help="show a run (--execution, else the last) until it ends"
    )
    parser.add_argument(
        "--machine",
        choices=("main", "monitor"),
        default="main",
        help="which state machine: the pipeline's (default), or the one that compares requests",
    )
    parser.add_argument("--every-state", action="store_true", help="text: also joints and failure handling")
    parser.add_argument("--out", metavar="FILE", help="write there instead of stdout")
    parser.add_argument(
        "--scale",
        type=float,
        metavar="N",
        help="PNG: pixels a unit of the SVG (default: 2, or less for at most 2500 pixels a side)",
    )
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline import settings
    from pipeline.cli import _graph_live, _target
    from pipeline.errors import SettingsError
    from pipeline.execution import graph

    form = _form(args)
    if args.live and (args.format or args.json):
        raise SettingsError(
            "--live shows text",
            hint="--out FILE.svg draws a file too; --execution last --format ... draws once",
        )
    if args.live:
        loaded, clients = _target.resolve(args)
        live = graph.Live(loaded, clients, args.execution or "last", args.machine)
        return _graph_live.show(live, out=args.out, every=args.every_state)
    if args.execution:
        loaded, clients = _target.resolve(args)
        picture = graph.of_execution(loaded, clients, args.execution, args.machine)
    else:
        loaded = settings.load(settings.find_root(), args.name, args.environment)
        picture = graph.of_definition(loaded, args.machine)
    return _give(args, picture, form)


def _form(args: argparse.Namespace) -> str:
    """What to draw, as --format or the ending of --out says it.

    Raises:
        SettingsError: the ending says none, or --scale is none or of no use.
    """
    from pipeline.errors import SettingsError
    from pipeline.graph import form_of

    form: str = args.format or "mermaid"
    if args.out and not args.format:
        try:
            form = form_of(args.out)
        except ValueError as error:
            raise SettingsError(
                str(error), where=args.out, hint=f"or say it: --format {'|'.join(FORMS)}"
            ) from error
    if args.scale is not None and (form != "png" or args.live):
        raise SettingsError("--scale is for one PNG", hint="--format png or --out FILE.png, without --live")
    if args.scale is not None and not 0.1 <= args.scale <= 10:
        raise SettingsError(f"{args.scale:g} pixels a unit", where="--scale", hint="0.1 to 10")
    return form


def _give(args: argparse.Namespace, picture: Picture, form: str) -> int:
    import sys
    from pathlib import Path

    from pipeline.cli import _graph_live, _output
    from pipeline.graph import nodes

    text = form == "text"
    drawn = picture.text(every=args.every_state).encode() if text else picture.as_bytes(form, args.scale)
    if args.out:
        out = Path(args.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(drawn)
        _output.say(f"written to {args.out}")
    if args.json:
        states = nodes(picture.asl, picture.statuses)
        said = "" if form == "png" else drawn.decode()
        _output.print_json({"title": picture.title, "format": form, "states": states, "graph": said})
    elif text and not args.out:
        print("\n".join(_graph_live.lines(picture, every=args.every_state, stream=sys.stdout)))
    elif not args.out:
        sys.stdout.flush()
        sys.stdout.buffer.write(drawn if form == "png" else drawn + b"\n")
    return 0
