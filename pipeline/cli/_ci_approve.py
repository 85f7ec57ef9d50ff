"""A person's approval on GitHub, passed on to the run that waits for one.

The job of a release only begins when a reviewer of its environment let it. Where the settings ask for an
approval too, that was it: asking the same person again would teach people to approve without looking.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.ci import say
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.ci import Context
    from pipeline.ci.github import Forge
    from pipeline.settings.model import Settings

EVERY_SECONDS = 3.0


@contextmanager
def passed_on(
    context: Context, forge: Forge | None, wanted: list[Settings], clients: Clients
) -> Iterator[None]:
    """While the block runs, approve what waits in it, if somebody approved this job's environment.

    Args:
        wanted: the pipelines, all of one environment; those that ask nobody are left alone.
    """
    asking = [each for each in wanted if each.environment.approval.mode == "manual"]
    who = _reviewer(context, forge, asking[0].environment_name) if asking else ""
    if not who:
        yield
        return
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(context, asking, clients, who, over), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _reviewer(context: Context, forge: Forge | None, environment: str) -> str:
    """Who let this job begin, in words for the record; empty if nobody was asked, or nobody can tell."""
    if forge is None or not context.run_id.isdigit():
        return ""
    for review in forge.approvals(int(context.run_id)):
        if review.approved and environment in review.environments:
            note = f": {review.comment}" if review.comment else ""
            return f"approved on GitHub by {review.login}{note} ({context.run_url})"
    return ""


def _watch(
    context: Context, asking: list[Settings], clients: Clients, who: str, over: threading.Event
) -> None:
    from pipeline.execution import approve

    why = f"promotion {context.tag}"
    while not over.wait(EVERY_SECONDS):
        for settings in asking:
            try:
                for name in approve.pending(settings, clients):
                    if _why(settings, clients, name) == why:
                        approve.decide(settings, clients, name, approved=True, reason=who)
                        print(f"{settings.name}: {who}", flush=True)
            except PipelineError as error:
                # Answered by somebody else in this moment, or not there yet: the run itself says how it ends.
                say.annotate("warning", error.what, title=settings.name)


def _why(settings: Settings, clients: Clients, execution: str) -> str:
    """What the run that waits was started for."""
    from pipeline.execution import start

    given = start.find(settings, clients, execution).input.get("PACKAGE") or {}
    return str(given.get("Why", "")) if isinstance(given, dict) else json.dumps(given)
