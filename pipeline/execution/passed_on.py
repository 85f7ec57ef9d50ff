"""What a run's states passed on, read from the run's own record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.execution.history import details

if TYPE_CHECKING:
    from pipeline.aws import Clients

PAGE = 200


def passed_on(clients: Clients, arn: str, key: str) -> Iterator[dict[str, Any]]:
    """The data after each state that has a table `key` in it, newest first."""
    request: dict[str, Any] = {
        "executionArn": arn,
        "reverseOrder": True,
        "maxResults": PAGE,
        "includeExecutionData": True,
    }
    while True:
        page = clients.stepfunctions.get_execution_history(**request)
        for event in page["events"]:
            output = details(event).get("output") if event["type"].endswith("StateExited") else None
            if not output or f'"{key}"' not in output:
                continue
            data = json.loads(output)
            if isinstance(data, dict) and isinstance(data.get(key), dict):
                yield data
        if not page.get("nextToken"):
            return
        request["nextToken"] = page["nextToken"]
