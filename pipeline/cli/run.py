"""`pipeline run`: start an execution of the deployed state machine and follow it to its result."""

from __future__ import annotations

import argparse

HELP = "start a run (or attach to the one that is running) and follow it"
EPILOG = """\
examples:
  pipeline run iris --follow                with today's date: reads yesterday's data
  pipeline run mnist                        in a sandbox also the first time: applies, puts the sample, runs
  pipeline run iris --date 2026-11-21       reads the data of 2026-11-20
  pipeline run iris --force                 train again although the data is known
  pipeline run --all --parallel 2           every pipeline, two at a time, and one summary
  pipeline run iris --no-follow --json      start it and print its ARN

Exit code 0 if the run succeeded (no new data counts), 1 otherwise. The same start twice attaches to the
one that runs. Ctrl-C stops following, not the run, unless --stop-on-interrupt. In an environment that says
`sandbox = true` (pipeline.toml; dev does) a run also applies a pipeline that is not deployed there at all,
and puts its sample where there is no data at all.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="NAME", nargs="?", help="the pipeline")
    parser.add_argument("--all", action="store_true", help="every pipeline, and one summary")
    parser.add_argument(
        "--parallel", type=int, default=2, metavar="N", help="with --all: so many at a time (default: 2)"
    )
    parser.add_argument("--date", metavar="DATE", help="YYYY-MM-DD or an ISO time (default: now)")
    parser.add_argument("--force", action="store_true", help="ignore the watermark: train on known data too")
    parser.add_argument("--pull-request", default="", metavar="N", help="what brought it about: recorded")
    parser.add_argument("--run-url", default="", metavar="URL", help="the build's page: recorded")
    parser.add_argument(
        "--follow",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show progress until it ends (default)",
    )
    parser.add_argument("--execution", metavar="ARN|NAME", help="start nothing: follow this one")
    parser.add_argument("--stop", action="store_true", help="with --execution: stop it")
    parser.add_argument("--stop-on-interrupt", action="store_true", help="Ctrl-C stops the run too")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline.cli import _follow, _output, _target
    from pipeline.errors import SettingsError
    from pipeline.execution import sandbox, start
    from pipeline.plan import deployed

    if bool(args.name) == args.all:
        raise SettingsError("which pipeline?", hint="pipeline run NAME, or pipeline run --all")
    if args.all:
        return _all(args)
    if args.stop and not args.execution:
        raise SettingsError("--stop needs --execution NAME", hint="`pipeline status NAME` lists them")
    settings, clients = _target.resolve(args)
    if args.stop:
        stopped = start.stop(settings, clients, args.execution, "stopped by `pipeline run --stop`")
        _output.say(f"stopped {stopped.name}")
        if args.json:
            _output.print_json(stopped.as_dict())
        return 0
    if args.execution:
        started = start.find(settings, clients, args.execution)
    else:
        sandbox.make_ready(settings, clients, _output.say)
        if differs := deployed.differing(settings, clients):
            are = "differs" if len(differs) == 1 else "differ"
            _output.say(
                f"note: {' and '.join(differs)} {are} from what is deployed, and this runs what is deployed: "
                f"pipeline apply {args.name}"
            )
        started = start.start(
            settings,
            clients,
            date=args.date,
            force=args.force,
            pull_request=args.pull_request,
            run_url=args.run_url,
        )
    _output.say(f"{'attached to' if started.attached else 'started'} {started.name}")
    if args.follow:
        return _follow.follow(args, settings, clients, started)
    if args.json:
        _output.print_json(started.as_dict())
    else:
        print(started.arn)
        _output.say(f"follow it: pipeline run {args.name} --execution {started.name}")
    return 0


def _all(args: argparse.Namespace) -> int:
    from pipeline.cli import _run_all
    from pipeline.errors import SettingsError

    if args.execution or args.stop:
        raise SettingsError("--execution is one pipeline's", hint="pipeline run NAME --execution ...")
    if not args.follow:
        raise SettingsError("--all follows its runs", hint="leave --no-follow out")
    if args.parallel < 1:
        raise SettingsError(f"{args.parallel} at a time is none", where="--parallel")
    return _run_all.run_all(args)
