"""`pipeline local`: the AWS endpoint on this machine."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from pipeline.cli import _fault, _remote

HELP = "start, inspect and stop the local target (an AWS endpoint on 127.0.0.1)"
DESCRIPTION = """\
The local target is an AWS endpoint on 127.0.0.1, one for each repository. Its state lies under
.pipeline/local/ and survives `down`, a restart and a killed server. Commands with --target local start
it by themselves; these verbs are for looking at it and for other tools."""
EPILOG = """\
examples:
  pipeline local up
  eval "$(pipeline local env)" && aws s3 ls     # the plain AWS CLI, against the local target
  pipeline local logs --follow
  pipeline local reset                          # stop it and forget everything in it
  pipeline local fault spot-loss                # what the next training job is to survive
  pipeline local remote                         # a forge: git push local main runs the workflows here"""

_VERBS = {
    "up": "start it if it does not run; prints the endpoint",
    "status": "whether it runs, where, and which processes it started (exit code 1 when it does not run)",
    "logs": "what the server printed",
    "down": "stop it and everything it started; the state stays",
    "reset": "stop it and delete its state",
    "env": "print export lines for the shell: endpoint, credentials, region",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    verbs = parser.add_subparsers(dest="local_verb", metavar="VERB", required=True)
    for verb, text in _VERBS.items():
        sub = verbs.add_parser(verb, help=text, description=text[0].upper() + text[1:] + ".")
        sub.add_argument("--json", action="store_true", help="print JSON")
        if verb == "up":
            sub.add_argument(
                "--isolation",
                choices=("best-effort", "enforce"),
                help="when the kernel cannot cut off a program with EnableNetworkIsolation: run it all the "
                "same and say so (best-effort, the default), or refuse it (enforce); "
                "$PIPELINE_LOCAL_ISOLATION",
            )
            sub.add_argument(
                "--runner",
                choices=("auto", "process", "container"),
                help="run programs as processes or in containers; auto (the default): in containers where an "
                "engine answers and the image was built; $PIPELINE_LOCAL_RUNNER",
            )
            sub.add_argument(
                "--realistic",
                action="store_true",
                help="wait as long as AWS does: Wait states and retry intervals are otherwise shortened",
            )
        if verb == "logs":
            sub.add_argument(
                "--lines", "-n", type=int, default=50, help="how many of the last lines (default 50)"
            )
            sub.add_argument("--follow", "-f", action="store_true", help="keep printing until interrupted")
        if verb == "env":
            sub.add_argument(
                "--environment", "-e", help="environment of pipeline.toml; its account and region"
            )

    fault = verbs.add_parser(
        "fault",
        help=_fault.HELP,
        description=_fault.DESCRIPTION,
        epilog=_fault.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _fault.configure(fault)
    remote = verbs.add_parser(
        "remote",
        help=_remote.HELP,
        description=_remote.DESCRIPTION,
        epilog=_remote.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _remote.configure(remote)


def run(args: argparse.Namespace) -> int:
    """Run one verb."""
    from pipeline.settings import find_root

    root = find_root()
    if args.local_verb == "remote":
        return _remote.run(root, args)
    if args.local_verb == "fault":
        return _fault.run(root, args)
    return int(globals()[f"_{args.local_verb}"](root, args))


def _up(root: Path, args: argparse.Namespace) -> int:
    from pipeline.local import about, ensure_up, options

    given = {options.ISOLATION: args.isolation} if args.isolation else {}
    if args.runner:
        given[options.RUNNER] = args.runner
    if args.realistic:
        given[options.WAIT_SCALE] = "1"
    began = time.monotonic()
    target = ensure_up(root, given)
    seconds = round(time.monotonic() - began, 3)
    said = about(target)
    facts = {"endpoint_url": target.endpoint_url, "pid": target.pid, "state_dir": str(target.state_dir)}
    first = f"{target.endpoint_url}  (pid {target.pid}, {seconds:.1f} s)"
    _print(args, {**facts, "seconds": seconds, **said}, "\n".join([first, *_programs(said)]))
    return 0


def _programs(said: dict[str, Any]) -> list[str]:
    """How programs run, in lines for a person."""
    if not said:
        return []
    return [
        f"  programs           {said['runner']}",
        f"  network isolation  {said['network_isolation']}",
    ]


def _status(root: Path, args: argparse.Namespace) -> int:
    from pipeline.local import status

    now = status(root)
    facts: dict[str, Any] = {
        "state": now.state,
        "endpoint_url": now.endpoint_url,
        "pid": now.pid,
        "seconds_up": round(time.time() - now.started, 1) if now.started else None,
        "state_dir": str(now.state_dir),
        "log": str(now.log),
        "processes": list(now.processes),
        **now.about,
    }
    lines = [
        f"{now.state}  {now.endpoint_url or ''}".rstrip(),
        f"  state  {now.state_dir}",
        f"  log    {now.log}",
    ]
    if now.pid:
        lines.insert(1, f"  pid    {now.pid}, up for {facts['seconds_up']:.0f} s")
    lines += _programs(now.about)
    lines += [f"  child  {each['pid']}  {each['what']}" for each in now.processes]
    _print(args, facts, "\n".join(lines))
    return 0 if now.state == "running" else 1


def _logs(root: Path, args: argparse.Namespace) -> int:
    from pipeline.local.lifecycle import log_tail
    from pipeline.local.paths import StatePaths

    paths = StatePaths.of(root)
    text = log_tail(paths, args.lines)
    if args.json:
        print(json.dumps({"log": str(paths.log), "lines": text.splitlines()}))
        return 0
    print(text or f"nothing yet in {paths.log}")
    if args.follow and paths.log.exists():
        with paths.log.open(errors="replace") as stream:
            stream.seek(0, 2)
            while True:
                chunk = stream.read()
                if chunk:
                    print(chunk, end="", flush=True)
                else:
                    time.sleep(0.2)
    return 0


def _down(root: Path, args: argparse.Namespace) -> int:
    from pipeline.local import down

    stopped = down(root)
    _print(args, {"stopped": stopped}, "stopped" if stopped else "it did not run")
    return 0


def _reset(root: Path, args: argparse.Namespace) -> int:
    from pipeline.local import reset

    reset(root)
    _print(args, {"reset": True}, "stopped, and its state deleted")
    return 0


def _env(root: Path, args: argparse.Namespace) -> int:
    from pipeline.errors import SettingsError
    from pipeline.local import ensure_up
    from pipeline.settings import load, names

    # Account and region are the project's; any pipeline's settings have them.
    known = names(root)
    if not known:
        raise SettingsError(
            "no pipeline is defined", where=str(root), hint="make pipeline/definitions/NAME/settings.toml"
        )
    chosen = load(root, known[0], args.environment).environment
    target = ensure_up(root)
    variables = {
        "AWS_ENDPOINT_URL": target.endpoint_url,
        # The account's root user: the local target takes the account id as its access key, any secret.
        "AWS_ACCESS_KEY_ID": chosen.account,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": chosen.region,
        "AWS_DEFAULT_REGION": chosen.region,
    }
    if any(os.environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")):
        # A proxy is for the world outside; both spellings are read, by different tools.
        for name in ("NO_PROXY", "no_proxy"):
            others = [each for each in os.environ.get(name, "").split(",") if each not in ("", "127.0.0.1")]
            variables[name] = ",".join([*others, "127.0.0.1"])
    if not sys.stdout.isatty() and not args.json:
        # Read by `eval`: a profile or a session token of the shell would win over the key above.
        print("unset AWS_PROFILE AWS_SESSION_TOKEN")
    _print(args, variables, "\n".join(f"export {name}={value}" for name, value in variables.items()))
    return 0


def _print(args: argparse.Namespace, facts: dict[str, Any], text: str) -> None:
    print(json.dumps(facts) if args.json else text)
