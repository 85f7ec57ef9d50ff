"""`pipeline batch`: the endpoint's model over a whole dataset, in a batch transform job."""

from __future__ import annotations

import argparse

HELP = "predict a whole folder or S3 prefix with the model that serves, in a batch transform job"
EPILOG = """\
examples:
  pipeline batch iris --from rows/                        answers to rows/a.csv are in rows.out/a.csv.out
  pipeline batch iris --from rows.csv                     they are in rows.csv.out, beside it
  pipeline batch iris --from rows.csv --join --output answers/
  pipeline batch mnist --from images/ --content-type image/png
  pipeline batch iris --from s3://bucket/rows/ --output s3://bucket/answers/

Each input x has its answers in x.out, in the order of its records. Of CSV and JSON Lines every line is a
record (--split line): the model gets as many at once as fit into a request, and --single gives it one. Other
files are sent whole. An input of which any record fails has no output; the others have theirs, and the exit
code is 1. Local files go through s3://<account's bucket>/<pipeline>-<environment>/batch/, where the model's
role may read and write; another bucket must let that role in. Ctrl-C stops the job, which
then stores nothing.

Whoever runs it needs sagemaker:CreateTransformJob, DescribeTransformJob and StopTransformJob (account.yaml
gives them to the deploy role). Unlike an endpoint, a transform job costs only while it runs.

exit codes: 0 all answered; 1 the job failed, or nothing serves yet; 2 bad input; 130 interrupted, job stopped
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument(
        "--from", dest="source", metavar="PATH|S3", required=True, help="a file, a folder or an s3:// prefix"
    )
    parser.add_argument(
        "--output",
        metavar="DIR|S3",
        help="a folder, or an s3:// prefix (default: PATH.out, beside it; for an s3:// input it stays in S3)",
    )
    parser.add_argument("--content-type", help="default: by the files' names, else the smoke request's")
    parser.add_argument(
        "--accept", help="type of the answers (default: the input's by line, else the smoke request's)"
    )
    parser.add_argument(
        "--split", choices=("line", "none"), help="what a record is (default: line for CSV and JSON Lines)"
    )
    parser.add_argument(
        "--single", action="store_true", help="one record a request (default: as many as fit)"
    )
    parser.add_argument("--join", action="store_true", help="put each record before its answer")
    parser.add_argument(
        "--parallel",
        type=int,
        default=0,
        metavar="N",
        help="requests at the same time (default: the model's)",
    )
    parser.add_argument("--instance-type", metavar="TYPE", help="default: the evaluation's")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline.cli import _output, _target
    from pipeline.errors import SettingsError
    from pipeline.execution import batch

    if args.parallel < 0:
        raise SettingsError(f"{args.parallel} at a time is none", where="--parallel")
    settings, clients = _target.resolve(args)
    wanted = batch.Wanted(
        source=args.source,
        output=args.output,
        content_type=args.content_type,
        accept=args.accept,
        split=args.split,
        instance_type=args.instance_type,
        at_once=args.parallel,
        single=args.single,
        join=args.join,
    )
    done = batch.run(settings, clients, wanted, _output.say)
    if args.json:
        _output.print_json(done.as_dict())
    elif done.files:
        print("\n".join(done.files))
    else:
        print(done.output)
    return 0
