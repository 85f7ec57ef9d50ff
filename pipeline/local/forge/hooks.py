"""The bare repository's hooks: what a push becomes, and how its progress comes back to the terminal.

python -m pipeline.local.forge.hooks post-receive|proc-receive|pre-receive ROOT
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import PipelineError
from pipeline.git import environment as git_environment
from pipeline.local.forge import events, git, pulls
from pipeline.local.forge.events import Event
from pipeline.local.forge.home import Home
from pipeline.local.forge.places import Places, next_number, read, write

FOR = "refs/for/"
_PAUSE_SECONDS = 0.1
# A push that only starts its run (`git push -o detach`).
DETACH = "detach"


def options(environment: Mapping[str, str]) -> dict[str, str]:
    """The push options (`git push -o name=value`), as git hands them to a hook."""
    count = int(environment.get("GIT_PUSH_OPTION_COUNT") or 0)
    given = [environment.get(f"GIT_PUSH_OPTION_{i}", "") for i in range(count)]
    return {name: value for name, _, value in (each.partition("=") for each in given)}


def deliver(places: Places, event: Event) -> int:
    """Write an event down and start the process that carries it out; the delivery's number."""
    number = next_number(places.deliveries)
    folder = places.deliveries / str(number)
    write(folder / "event.json", event.as_dict())
    (folder / "log.txt").touch()
    code = Path(__file__).resolve().parents[3]
    with (folder / "runner.txt").open("w") as output:
        subprocess.Popen(
            [sys.executable, "-m", "pipeline.local.forge.runner", str(places.root), str(number)],
            cwd=places.root,
            env={**git_environment(), "PYTHONPATH": str(code)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return number


def follow(places: Places, number: int) -> str:
    """Print a delivery's log as it grows, until it is done; its conclusion."""
    folder = places.deliveries / str(number)
    with (folder / "log.txt").open(encoding="utf-8", errors="replace") as log:
        while True:
            done = read(folder / "done.json")
            chunk = log.read()
            if chunk:
                print(chunk, end="", flush=True)
            elif done is not None:
                return str(done["conclusion"])
            elif _died(folder):
                said = (folder / "runner.txt").read_text(encoding="utf-8", errors="replace")
                print(f"the runner ended before its work was done\n{said[-2000:]}", flush=True)
                return "failure"
            else:
                time.sleep(_PAUSE_SECONDS)


def _died(folder: Path) -> bool:
    runner = read(folder / "runner.json")
    if runner is None:
        return False
    try:
        os.kill(runner["pid"], 0)
    except ProcessLookupError:
        return read(folder / "done.json") is None
    return False


def post_receive(home: Home) -> int:
    """Every ref that moved becomes an event; the pushing terminal sees what comes of it."""
    numbers = []
    for line in sys.stdin:
        before, after, ref = line.split()
        event = _event(home, ref, before, after)
        if event is not None:
            numbers.append(deliver(home.places, event))
    for number in numbers:
        if DETACH in options(os.environ):
            # Its runs get their numbers later, one for each workflow.
            print("accepted; see it with: pipeline local remote runs", flush=True)
        else:
            follow(home.places, number)
    return 0


def _event(home: Home, ref: str, before: str, after: str) -> Event | None:
    if after == git.ZERO:
        return None
    if ref.startswith("refs/pull/"):
        pull = pulls.get(home, int(ref.split("/")[2]))
        return events.pull_request(home.repository, pull, pull["last_action"])
    if ref.startswith(("refs/heads/", "refs/tags/")):
        return events.push(home.repository, ref, before, after)
    return None


def pre_receive(home: Home) -> int:
    """What may not move: a protected branch without a pull request, and a tag that is there."""
    branch = home.repository.default_branch
    for line in sys.stdin:
        before, after, ref = line.split()
        if ref == f"refs/heads/{branch}" and home.protected and before != git.ZERO:
            print(
                f"{branch} is protected: git push local HEAD:refs/for/{branch}, then merge the pull request"
            )
            return 1
        if ref.startswith("refs/tags/") and git.ZERO not in (before, after):
            print(f"{ref} is there already, and a tag does not move: take the next version")
            return 1
    return 0


def proc_receive(home: Home, source: BinaryIO, sink: BinaryIO) -> int:
    """Pushes to refs/for/<branch>: each opens a pull request or moves the head of one.

    https://git-scm.com/docs/githooks#proc-receive
    """
    hello = _packets(source)
    features = hello[0].partition(b"\0")[2].split() if hello else []
    _send(sink, b"version=1\0" + (b"push-options" if b"push-options" in features else b""))
    _flush(sink)
    commands = [packet.decode().strip().split(" ", 2) for packet in _packets(source)]
    given = {}
    if b"push-options" in features:
        for packet in _packets(source):
            name, _, value = packet.decode().strip().partition("=")
            given[name] = value
    for _, after, ref in commands:
        try:
            pull, action = pulls.offered(home, ref.removeprefix(FOR), after, given)
        except PipelineError as error:
            _send(sink, f"ng {ref} {' '.join(str(error).split())}".encode())
            continue
        home.store.change("pulls", pull["number"], {"last_action": action})
        _send(sink, f"ok {ref}".encode())
        _send(sink, f"option refname refs/pull/{pull['number']}/head".encode())
        _send(sink, f"option new-oid {after}".encode())
    _flush(sink)
    return 0


def _packets(source: BinaryIO) -> list[bytes]:
    """pkt-lines up to the next flush packet."""
    found = []
    while size := int(source.read(4) or b"0000", 16):
        found.append(source.read(size - 4).rstrip(b"\n"))
    return found


def _send(sink: BinaryIO, content: bytes) -> None:
    sink.write(f"{len(content) + 5:04x}".encode() + content + b"\n")


def _flush(sink: BinaryIO) -> None:
    sink.write(b"0000")
    sink.flush()


def main(arguments: list[str]) -> int:
    name, root = arguments[0], Path(arguments[1])
    # Ctrl-C and a closed terminal end the push's view of the run, not the run.
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        try:
            home = Home.of(root)
            if name == "proc-receive":
                return proc_receive(home, sys.stdin.buffer, sys.stdout.buffer)
            return {"post-receive": post_receive, "pre-receive": pre_receive}[name](home)
        except PipelineError as error:
            print(f"error: {error}", file=sys.stderr if name == "proc-receive" else sys.stdout)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
