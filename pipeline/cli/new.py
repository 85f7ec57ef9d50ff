"""`pipeline new`: a pipeline of your own from one that runs."""

from __future__ import annotations

import argparse

HELP = "make a new pipeline from one that runs"
EPILOG = """\
examples:
  pipeline new churn                        from iris: CSV in, LightGBM, three classes
  pipeline new churn --from recommender     Glue jobs before the training, two branches, ranking

Copies the definition, the container and the Glue scripts under the new name; its data lies below a prefix of
its own. It passes `pipeline check` and runs at once, on the sample of the one it comes from. Then make it
yours: the settings, the program, the data. Nothing that is there is overwritten.

exit codes: 0 made; 2 the name is taken or none, or there is nothing to start from
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output
    from pipeline.scaffold import NAMES

    parser.add_argument("name", metavar="NAME", help=f"of the new pipeline: {NAMES}")
    parser.add_argument(
        "--from", dest="source", default="iris", metavar="PIPELINE", help="what to start from (default: iris)"
    )
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline import scaffold, settings
    from pipeline.cli import _output

    made = scaffold.make(settings.find_root(), args.name, args.source)
    if args.json:
        _output.print_json({"name": made.name, "from": made.source, "folders": list(map(str, made.folders))})
        return 0
    for folder in made.folders:
        print(f"{folder}/")
    _output.say(f"next: pipeline check {made.name}")
    _output.say(f"      pipeline run {made.name}")
    _output.say(f"then make it yours: {made.settings}")
    return 0
