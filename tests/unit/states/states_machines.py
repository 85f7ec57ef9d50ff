"""Small machines, and readings of histories, for the tests of this folder."""

from __future__ import annotations

from typing import Any


def single(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A machine of one state."""
    return {"StartAt": "S", "States": {"S": {"End": True, **state}}, **more}


def kinds(record: dict[str, Any]) -> list[str]:
    return [event["type"] for event in record["events"]]


def details(event: dict[str, Any]) -> dict[str, Any]:
    """The one details member of an event."""
    found = [value for key, value in event.items() if key.endswith("EventDetails")]
    return found[0] if found else {}
