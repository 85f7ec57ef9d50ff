"""Endpoint and rollout settings that are valid one by one and impossible together."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.settings.hosting_problems import hosting_problems

ERRORS = {"alarms": {"errors_percent": 5}}
TWO = {"instance_count": 2}
SERVERLESS: dict[str, Any] = {"capacity": "serverless"}


def told(endpoint: dict[str, Any], rollout: dict[str, Any]) -> list[str]:
    """`key: what is wrong` of each problem."""
    found = hosting_problems({"endpoint": endpoint, "rollout": rollout})
    return [f"{'.'.join(str(part) for part in key)}: {what}" for key, what, _ in found]


@pytest.mark.parametrize(
    ("endpoint", "rollout"),
    [
        ({}, {}),
        (TWO, {"shift": "canary", **ERRORS}),
        (TWO, {"shift": "linear", "percent": 20, **ERRORS}),
        ({"capacity": "autoscaling", "autoscaling": {"minimum": 2}}, {"shift": "canary", **ERRORS}),
        (SERVERLESS, {}),
        # The tables of a capacity that is not chosen may lie in [defaults].
        ({"serverless": {"provisioned_concurrency": 9}, "autoscaling": {"minimum": 9}}, {}),
        ({}, {"termination_wait_seconds": 60, **ERRORS}),
        ({}, ERRORS),
    ],
)
def test_what_goes_together(endpoint: dict[str, Any], rollout: dict[str, Any]) -> None:
    assert told(endpoint, rollout) == []


@pytest.mark.parametrize(
    ("endpoint", "rollout", "problem"),
    [
        ({}, {"shift": "canary", **ERRORS}, "endpoint.instance_count: a canary shift needs 2 instances"),
        (
            {"capacity": "autoscaling"},
            {"shift": "linear", **ERRORS},
            "endpoint.autoscaling: a linear shift needs 2",
        ),
        (TWO, {"shift": "canary"}, "rollout.shift: a canary shift without an alarm"),
        (
            TWO,
            {"shift": "linear", "percent": 5, "wait_seconds": 60, **ERRORS},
            "rollout.percent: 5 is too small",
        ),
        (
            TWO,
            {"shift": "linear", "percent": 10, "wait_seconds": 400, **ERRORS},
            "rollout.maximum_seconds: 3600 s is not more than all waiting, 3600 s",
        ),
        (
            TWO,
            {"shift": "canary", "wait_seconds": 100, "alarms": {"errors_count": 1, "minutes": 2}},
            "rollout.wait_seconds: 100 s is shorter than the 2 min",
        ),
        (SERVERLESS, {"shift": "canary"}, "rollout.shift: a serverless endpoint takes no canary shift"),
        (SERVERLESS, ERRORS, "rollout.alarms.errors_percent: a serverless endpoint has no rollout"),
        (SERVERLESS, {"termination_wait_seconds": 60}, "rollout.termination_wait_seconds: a serverless"),
        (
            {**SERVERLESS, "serverless": {"provisioned_concurrency": 6}},
            {},
            "endpoint.serverless.provisioned_concurrency: 6 is above max_concurrency = 5",
        ),
        (
            {"capacity": "autoscaling", "autoscaling": {"minimum": 3}},
            {},
            "endpoint.autoscaling.maximum: 2 is below minimum = 3",
        ),
        ({}, {"alarms": {"model": {"name": "confidence"}}}, "rollout.alarms.model: needs one of minimum"),
    ],
)
def test_what_does_not(endpoint: dict[str, Any], rollout: dict[str, Any], problem: str) -> None:
    (found,) = told(endpoint, rollout)
    assert found.startswith(problem)
