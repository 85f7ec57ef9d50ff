"""`pipeline data`: put a pipeline's data where its next run looks for it, and list what is there."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.execution.data import DataObject
    from pipeline.settings.model import Settings

HELP = "put data for the run of a date, list what lies there, or make the sample"
EPILOG = """\
examples:
  pipeline data iris put                          its sample, for today's run
  pipeline data iris put --date 2026-11-20        for the run with DATE 2026-11-21
  pipeline data iris put --from my-data/          my-data/<channel>/... , one folder a channel
  pipeline data iris put --shuffle-labels 7       break it on purpose: the gate must reject the model
  pipeline data iris list
  pipeline data mnist sample                      make its sample if need be, and say where it lies

A sample is pipeline/definitions/NAME/sample/, or what make_sample.py there fetches and makes: once, checked
by checksum, kept in ~/.cache/gitops-ml-pipeline/samples for all clones.
The date is the data's own: a run with DATE D reads the data of the day before D (and, with data.window_days,
of the days before that). Data that was put again under its date replaces what lay there; if a version was
trained on that, it is said.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument(
        "action",
        choices=("put", "list", "sample"),
        help="put: upload for a date; list: what lies there; sample: where the sample lies",
    )
    parser.add_argument(
        "--date",
        metavar="YYYY-MM-DD",
        help="the data's own date (default: put, yesterday, UTC, which a run of today reads; list, all)",
    )
    parser.add_argument(
        "--from",
        dest="folder",
        metavar="DIR",
        help="put: a folder with one sub-folder a channel (default: the sample)",
    )
    parser.add_argument(
        "--shuffle-labels",
        type=int,
        metavar="SEED",
        help="put: with the label column of every CSV that is trained on shuffled, by this seed",
    )
    parser.add_argument(
        "--label-column",
        type=int,
        default=0,
        metavar="N",
        help="which column that is (default: 0, the first)",
    )
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from pipeline.cli import _output, _target
    from pipeline.execution import data

    if args.action == "sample":
        return _sample(args)
    settings, clients = _target.resolve(args)
    if args.action == "put":
        objects = data.put(
            settings,
            clients,
            day=data.parse_day(args.date),
            folder=Path(args.folder) if args.folder else None,
            shuffle_seed=args.shuffle_labels,
            label_column=args.label_column,
            say=_output.say,
        )
    else:
        objects = data.listing(settings, clients, day=data.parse_day(args.date) if args.date else None)
    if args.json:
        _output.print_json([item.as_dict() for item in objects])
        return 0
    if not objects:
        print(
            f"no data for {args.name} in s3://{settings.data_bucket}; put some: "
            f"pipeline data {args.name} put -e {settings.environment_name}"
        )
        return 0
    print(_output.table([(o.channel, o.date, _output.size(o.bytes), o.uri) for o in objects]))
    if args.action == "put":
        for sentence in _over(settings, clients, objects):
            _output.say(sentence)
        after = data.run_date(objects[0].date)
        _output.say(f"next: pipeline run {args.name}{_target.same_environment(args)} --date {after} --follow")
    return 0


def _over(settings: Settings, clients: Clients, put: list[DataObject]) -> list[str]:
    """What is to be said where data of that day was there already."""
    from pipeline.execution import data, trained

    day = data.parse_day(put[0].date)
    now = {item.uri for item in put}
    beside = [item.uri for item in data.listing(settings, clients, day) if item.uri not in now]
    if not beside and not any(item.was for item in put):
        return []
    return trained.sentences(settings.name, put, beside, trained.versions(settings, clients, day))


def _sample(args: argparse.Namespace) -> int:
    from pipeline import settings as store
    from pipeline.cli import _output
    from pipeline.execution import sample

    folder = sample.folder(store.load(store.find_root(), args.name, args.environment), _output.say)
    if args.json:
        _output.print_json({"folder": str(folder)})
    else:
        print(folder)
    return 0
