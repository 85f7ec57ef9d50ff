"""Settings of capture and monitoring that are valid one by one and impossible together."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.settings.monitor import Monitor
from pipeline.settings.monitor_problems import DEFAULT_LIMITS, MEASURES, monitor_problems, serverless_problems

CHANNELS = {"train": {}, "test": {"use": "evaluate"}}
LENGTH = {"request": "cast(columns[0] as double)", "training": "_c0"}


def told(monitor: dict[str, Any] | None, capture: dict[str, Any] | None = None) -> list[str]:
    """`key: what is wrong` of each problem."""
    pipeline: dict[str, Any] = {"data": {"channels": CHANNELS}}
    pipeline |= {"capture": capture} if capture is not None else {}
    pipeline |= {"monitor": monitor} if monitor is not None else {}
    return [f"{'.'.join(str(part) for part in key)}: {what}" for key, what, _ in monitor_problems(pipeline)]


@pytest.mark.parametrize(
    ("monitor", "capture"),
    [
        (None, {"percent": 0}),
        ({"features": {"length": LENGTH}}, None),
        ({"features": {"length": LENGTH}}, {"percent": 5, "content": ["input"]}),
        ({"features": {"score": {"request": "answer"}}}, {"content": ["output"]}),
        ({"features": {"length": {**LENGTH, "ks": 0.2}}, "limits": {}}, None),
    ],
)
def test_what_goes_together(monitor: dict[str, Any] | None, capture: dict[str, Any] | None) -> None:
    assert told(monitor, capture) == []


@pytest.mark.parametrize(
    ("monitor", "capture", "problem"),
    [
        ({"features": {"length": LENGTH}}, {"percent": 0}, "capture.percent: [monitor] compares captured"),
        (
            {"features": {"length": LENGTH}, "channel": "test"},
            None,
            "monitor.channel: 'test' is no channel of training",
        ),
        (
            {"features": {"length": LENGTH}, "limits": {}},
            None,
            "monitor.features.length: no measure has a limit",
        ),
        (
            {"features": {"score": {"request": "answer"}}},
            {"content": ["input"]},
            "monitor.features.score.request: 'answer' is of the output, which is not captured",
        ),
        (
            {"features": {"length": LENGTH}},
            {"content": ["output"]},
            "monitor.features.length.request: 'columns' is of the input",
        ),
    ],
)
def test_what_does_not(monitor: dict[str, Any], capture: dict[str, Any] | None, problem: str) -> None:
    found = told(monitor, capture)
    assert len(found) == 1
    assert found[0].startswith(problem)


@pytest.mark.parametrize(
    ("pipeline", "key"),
    [
        ({"monitor": {}}, ("monitor",)),
        ({"capture": {"percent": 5}}, ("capture", "percent")),
        ({"capture": {"percent": 0}}, None),
        ({}, None),
    ],
)
def test_a_serverless_endpoint_captures_nothing(
    pipeline: dict[str, Any], key: tuple[str, ...] | None
) -> None:
    serverless = {"endpoint": {"capacity": "serverless"}}
    assert [found for found, _, _ in serverless_problems(serverless, pipeline)] == ([key] if key else [])
    assert list(serverless_problems({}, pipeline)) == []


def test_the_limits_are_those_of_the_model() -> None:
    made = Monitor.model_validate({"features": {"length": LENGTH}})
    assert {k: v for k, v in made.limits.model_dump().items() if v is not None} == DEFAULT_LIMITS
    assert tuple(made.limits.model_dump()) == MEASURES
