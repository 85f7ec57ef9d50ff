"""A pipeline's machines as pictures: as they are rendered, or coloured by how an execution goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.errors import SettingsError
from pipeline.graph import Picture, nodes

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.execution.follow import Step
    from pipeline.execution.history import Timeline
    from pipeline.settings.model import Settings

__all__ = ["MACHINES", "Live", "nodes", "of_definition", "of_execution"]

MAIN, MONITOR = "main", "monitor"
MACHINES = (MAIN, MONITOR)


def of_definition(settings: Settings, machine: str = MAIN) -> Picture:
    """The machine as it is rendered now; nothing is contacted.

    Raises:
        SettingsError: the pipeline has no [monitor].
    """
    from pipeline.names import Names
    from pipeline.render import render

    rendered = render(settings)
    if machine == MAIN:
        return Picture(rendered.asl, title=settings.stack_name)
    if rendered.monitor is None:
        raise SettingsError(
            "nothing is monitored, so there is no such machine",
            where=f"{settings.name} in {settings.environment_name}",
            hint="add [monitor] to settings.toml (docs/how-to/monitor.md)",
        )
    return Picture(rendered.monitor, title=Names.of(settings).monitor)


def of_execution(settings: Settings, clients: Clients, which: str, machine: str = MAIN) -> Picture:
    """One look at an execution (ARN, name or `last`)."""
    return Live(settings, clients, which, machine).look()


class Live:
    """An execution's picture, made anew by each look; the definition is the one it runs with.

    Raises:
        ExecutionError: there is no such execution.
    """

    def __init__(self, settings: Settings, clients: Clients, which: str, machine: str = MAIN) -> None:
        from pipeline.aws.errors import told
        from pipeline.execution import start
        from pipeline.execution.follow import Watcher
        from pipeline.names import Names

        arn = Names.of(settings).monitor_arn if machine == MONITOR else start.machine_arn(settings)
        self.run = start.find(settings, clients, which, arn)
        with told(clients.target.name):
            # The deployed definition may have changed since.
            found = clients.stepfunctions.describe_state_machine_for_execution(executionArn=self.run.arn)
        self._asl: dict[str, Any] = json.loads(found["definition"])
        self._watcher = Watcher(clients, self.run.arn)
        self.status = ""

    @property
    def closed(self) -> bool:
        """Whether the last look found that nothing more will happen."""
        from pipeline.execution.follow import CLOSED

        return self.status in CLOSED

    def look(self) -> Picture:
        """The picture as it is now; costs one or two small requests."""
        return self._picture(self._watcher.look())

    def changes(self, sleep: Callable[[float], None] | None = None) -> Iterator[Picture]:
        """A picture at once, at each look while it runs (about one a second), and the last when it ended."""
        from pipeline.aws.pace import Pace

        pace = Pace(longest=1.0) if sleep is None else Pace(longest=1.0, sleep=sleep)
        while True:
            step = self._watcher.look()
            yield self._picture(step)
            if step.closed:
                return
            pace.wait(news=bool(step.changed))

    def _picture(self, step: Step) -> Picture:
        self.status = step.status
        until = step.description.get("stopDate") or datetime.now(UTC)
        took = (until - step.description["startDate"]).total_seconds()
        title = f"{self.run.name}: {step.status}, {took:.0f} s"
        return Picture(self._asl, step.timeline.statuses(), title, _notes(step.timeline))


def _notes(timeline: Timeline) -> dict[str, str]:
    """State -> how long its visits took together, how often it was tried, its newest job."""
    now = datetime.now(UTC)
    found: dict[str, str] = {}
    for name in dict.fromkeys(visit.name for visit in timeline.visits):
        visits = [visit for visit in timeline.visits if visit.name == name]
        said = [f"{sum(visit.seconds(now) for visit in visits):.1f} s"]
        if len(visits) > 1:
            said.append(f"{len(visits)} times")
        if retries := sum(visit.retries for visit in visits):
            said.append(f"{retries} retries")
        said += [job for _, job in visits[-1].jobs[-1:]]
        found[name] = "  ".join([*said, *filter(None, [visits[-1].error])])
    return found


def without_seconds(picture: Picture) -> Picture:
    """The picture without what changes by the clock alone, to tell whether anything else did."""
    return replace(picture, title="", notes={})
