"""One delivery carried out: every workflow that an event starts, and those that their ends start.

    python -m pipeline.local.forge.runner ROOT NUMBER

A process of its own, so that it outlives the terminal that pushed. What people see of it goes to the
delivery's log.txt; done.json is written last.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.errors import PipelineError
from pipeline.local import lifecycle
from pipeline.local.forge import events, triggers
from pipeline.local.forge.events import Event
from pipeline.local.forge.github_api import GitHubApi
from pipeline.local.forge.home import Home
from pipeline.local.forge.places import read, write
from pipeline.local.forge.run import Run

# A workflow that answers a workflow may be answered itself; GitHub stops at three.
DEEPEST = 3


class Delivery:
    """The runs of one event."""

    def __init__(self, root: Path, number: int) -> None:
        self.home = Home.of(root)
        self.folder = self.home.places.deliveries / str(number)
        self.event = Event.of(read(self.folder / "event.json"))
        self._log = (self.folder / "log.txt").open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        self._runs: list[Run] = []
        self._began = time.time()

    def say(self, line: str) -> None:
        """One line for people, with the seconds since the push."""
        with self._lock:
            self._log.write(f"{time.time() - self._began:6.1f}  {line}\n")

    def carry_out(self) -> str:
        """All runs to their ends; `success`, `failure`, `cancelled` or `nothing`."""
        outcome = "failure"
        try:
            self._endpoint_url = lifecycle.ensure_up(self.home.places.root).endpoint_url
            with GitHubApi(self.home.store) as api:
                self._api_url = api.url
                self._started(self.event, 0)
            outcome = self._outcome()
            for line in page(self._runs, self.home):
                self.say(line)
        except (PipelineError, OSError) as error:
            self.say(f"error: {error}")
        finally:
            write(
                self.folder / "done.json",
                {"conclusion": outcome, "runs": [run.number for run in self._runs]},
            )
        return outcome

    def stop(self, *_: int | FrameType | None) -> None:
        """End what runs; for SIGTERM."""
        for run in list(self._runs):
            if run.status != "completed":
                run.stop()

    def _started(self, event: Event, depth: int) -> None:
        """Run all workflows that `event` starts, side by side."""
        found = triggers.workflows(self.home.repository.path, event.workflows)
        chosen = {path: content for path, content in found.items() if triggers.starts(content, path, event)}
        for path in [path for path in chosen if Path(path).name in self.home.left_out]:
            self.say(f"{Path(path).stem}: not run here (pipeline local remote --with {Path(path).stem})")
            del chosen[path]
        if not chosen:
            if depth == 0:
                self.say(f"no workflow is for this {event.name}")
            return
        links = {"endpoint_url": self._endpoint_url, "api_url": self._api_url}
        runs = [
            Run(self.home, path, content, event, say=self.say, **links) for path, content in chosen.items()
        ]
        self._runs += runs
        with ThreadPoolExecutor(len(runs)) as pool:
            for future in [pool.submit(self._one, run, depth) for run in runs]:
                future.result()

    def _one(self, run: Run, depth: int) -> None:
        run.execute()
        if depth < DEEPEST:
            self._started(events.workflow_run(self.home.repository, run.record(), run.event), depth + 1)

    def _outcome(self) -> str:
        ends = {run.conclusion for run in self._runs}
        for worst in ("failure", "cancelled"):
            if worst in ends:
                return worst
        return "success" if self._runs else "nothing"


def page(runs: list[Run], home: Home) -> list[str]:
    """The end of it, for the terminal: jobs, summaries, the pull request's comment."""
    lines = []
    for run in runs:
        lines.append(f"{run.name} #{run.number}: {run.conclusion}")
        lines += [
            f"    {job.conclusion:<9} {job.name} ({job.seconds:.1f} s)" for job in run.progress.jobs.values()
        ]
        if (run.folder / "summary.md").exists():
            lines.append(f"    summary {(run.folder / 'summary.md').relative_to(home.places.root)}")
    for number in sorted({n for run in runs if (n := run.record()["pull_request"])}):
        lines.append(f"pull request {number}: pipeline local remote pr show {number}")
        for comment in home.store.comments(number):
            place = home.places.api / "issues" / str(number) / "comments" / f"{comment['id']}.md"
            lines.append(f"    comment {place.relative_to(home.places.root)}")
    return lines


def main(arguments: list[str]) -> int:
    delivery = Delivery(Path(arguments[0]), int(arguments[1]))
    signal.signal(signal.SIGTERM, delivery.stop)
    # The terminal's Ctrl-C is for the push, not for what it started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    write(delivery.folder / "runner.json", {"pid": os.getpid()})
    outcome: Any = delivery.carry_out()
    return 0 if outcome in ("success", "nothing") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
