"""A model's own numbers: gathered, written once a name, and never in a prediction's way."""

from __future__ import annotations

from typing import Any

import pytest
from serving import metrics


class Lines:
    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def event(self, event: str, **facts: object) -> None:
        self.told.append({"event": event, **facts})


def test_numbers_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_DEPLOYMENT", "iris-dev-1")
    lines = Lines()
    for value in (0.5, 0.9, 0.7):
        metrics.metric("confidence", value)
    metrics.metric("rows", 3)
    metrics.write(lines)
    confidence, rows = lines.told
    assert confidence == {
        "event": "metric",
        "name": "confidence",
        "value": pytest.approx(0.7),
        "count": 3,
        "minimum": 0.5,
        "maximum": 0.9,
        "deployment": "iris-dev-1",
    }
    assert (rows["value"], rows["count"]) == (3.0, 1)
    metrics.write(lines)
    assert len(lines.told) == 2, "what was written is done with"


def test_what_is_no_number_is_left_out() -> None:
    lines = Lines()
    metrics.metric("confidence", float("nan"))
    metrics.write(lines)
    assert lines.told == []
