"""`pipeline graph`: the state machine as a picture, a run's progress in colours."""

from __future__ import annotations

import argparse

HELP = "the workflow as Mermaid or SVG; a run colours its states"
EPILOG = """\
examples:
  pipeline graph iris                              Mermaid text, from the definition
  pipeline graph iris --format svg > iris.svg
  pipeline graph iris --format svg --execution last --out build/run.svg

Without --execution nothing is contacted.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument("--format", choices=("mermaid", "svg"), default="mermaid", help="default: mermaid")
    parser.add_argument(
        "--execution", metavar="ARN|NAME|last", help="colour the states as this run left them"
    )
    parser.add_argument("--out", metavar="FILE", help="write there instead of stdout")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from pipeline import render, settings
    from pipeline.cli import _output, _target
    from pipeline.execution import graph

    statuses: dict[str, str] = {}
    if args.execution:
        loaded, clients = _target.resolve(args)
        asl, statuses, title = graph.of_execution(loaded, clients, args.execution)
    else:
        loaded = settings.load(settings.find_root(), args.name, args.environment)
        asl, title = render.render(loaded).asl, loaded.stack_name
    drawn = graph.draw(asl, args.format, statuses, title)
    if args.out:
        out = Path(args.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(drawn, encoding="utf-8")
        _output.say(f"written to {args.out}")
    if args.json:
        _output.print_json(
            {"title": title, "format": args.format, "states": graph.nodes(asl, statuses), "graph": drawn}
        )
    elif not args.out:
        print(drawn)
    return 0
