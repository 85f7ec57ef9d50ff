"""An execution watched: new events fetched as they come, turned into visits of states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.aws.errors import told
from pipeline.execution.history import Reader, Timeline, Visit

if TYPE_CHECKING:
    from pipeline.aws import Clients

# DescribeExecution's statuses in which nothing more happens by itself.
CLOSED = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})
PAGE = 200


@dataclass
class Step:
    """What one look brought: the visits that changed, and the execution's status."""

    changed: list[Visit]
    timeline: Timeline
    status: str
    description: dict[str, Any]

    @property
    def closed(self) -> bool:
        return self.status in CLOSED


class Watcher:
    """Looks at one execution; each look costs one describe and the events that are new."""

    def __init__(self, clients: Clients, arn: str) -> None:
        self._clients = clients
        self._arn = arn
        self._reader = Reader()

    def look(self) -> Step:
        """One look. The status is read before the events, so a closed one has its whole history."""
        with told(self._clients.target.name):
            found = self._clients.stepfunctions.describe_execution(executionArn=self._arn)
            changed = self._reader.feed(self._new_events())
        return Step(changed, self._reader.timeline, found["status"], found)

    def _new_events(self) -> list[dict[str, Any]]:
        """Events after the last one seen, oldest first: read backwards, so that a long run stays cheap."""
        fresh: list[dict[str, Any]] = []
        for event in self._backwards():
            if event["id"] <= self._reader.last_id:
                break
            fresh.append(event)
        return fresh[::-1]

    def _backwards(self) -> Iterator[dict[str, Any]]:
        request: dict[str, Any] = {
            "executionArn": self._arn,
            "reverseOrder": True,
            "maxResults": PAGE,
            "includeExecutionData": True,
        }
        while True:
            page = self._clients.stepfunctions.get_execution_history(**request)
            yield from sorted(page["events"], key=lambda event: -event["id"])
            if not page.get("nextToken"):
                return
            request["nextToken"] = page["nextToken"]


def timeline(clients: Clients, arn: str) -> Timeline:
    """The timeline as it is now."""
    return Watcher(clients, arn).look().timeline
