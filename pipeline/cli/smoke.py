"""`pipeline smoke`: the whole pipeline once on its sample data, in a local target that is gone afterwards."""

from __future__ import annotations

import argparse

HELP = "run it all once on the sample data, in a local target of its own"
EPILOG = """\
examples:
  pipeline smoke iris                       train, evaluate, gate, deploy and ask, on the sample data
  pipeline smoke iris -e production         with production's settings, approval and Slack left out
  pipeline plan iris --smoke                the same, beside the metrics of the model that serves

Everything happens as it would after a merge: rendered, applied, trained, gated, deployed, asked, by the
same state machine with the same roles. The target is made for it under .pipeline/smoke and removed at the
end, at Ctrl-C too; yours and its data are not touched.

exit codes: 0 the model passed the gate and serves; 1 it did not, or the run failed; 2 bad input
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output

    parser.add_argument("name", metavar="NAME", help="the pipeline")
    parser.add_argument(
        "--environment", "-e", metavar="ENV", help="environment of pipeline.toml (default: its default)"
    )
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from pipeline import settings as store
    from pipeline.cli import _ephemeral, _output

    settings = store.load(store.find_root(), args.name, args.environment)
    result = _ephemeral.smoke(settings, _output.say)
    if args.json:
        _output.print_json(asdict(result))
    else:
        rows = [(name, f"{value:.6g}") for name, value in result.metrics.items()]
        if rows:
            print(_output.table(rows, headers=("metric", "on the sample")))
        for why, passed in result.gate:
            print(_output.paint(f"{'ok' if passed else 'x '} {why}", "green" if passed else "red"))
        if result.error:
            print(_output.paint(f"{result.status or 'not run'}: {result.error}", "red"))
        print(f"{result.status or 'not run'}: {result.seconds:.1f} s, {result.total:.1f} s in all")
    return 0 if result.status == "SUCCEEDED" else 1
