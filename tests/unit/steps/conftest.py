"""Settings as a definition gets them, and the SDKs imported without asking AWS anything."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.steps import view

SETTINGS: dict[str, Any] = {
    "name": "demo",
    "environment_name": "dev",
    "stack_name": "demo-dev",
    "artifact_bucket": "ml-123456789012-eu-west-1",
    "data_bucket": "ml-123456789012-eu-west-1",
    "project": {"name": "ml", "default_environment": "dev"},
    "environment": {
        "account": "123456789012",
        "region": "eu-west-1",
        "training": {
            "instance_type": "ml.m5.large",
            "instance_count": 1,
            "volume_gb": 10,
            "max_runtime_seconds": 600,
            "spot": False,
            "max_wait_seconds": None,
        },
        "processing": {
            "instance_type": "ml.m5.large",
            "instance_count": 1,
            "volume_gb": 10,
            "max_runtime_seconds": 300,
        },
        "endpoint": {"instance_type": "ml.m5.large", "instance_count": 2},
        "approval": {"mode": "automatic", "expires_hours": 72},
        "notification": {"enabled": False, "slack_secret": None, "channel": None, "alarm_email": None},
        "log_retention_days": 30,
        "tags": {"team": "flowers"},
    },
    "pipeline": {
        "description": "A demo",
        "container": "demo",
        "hyperparameters": {"rounds": 10, "rate": 0.5, "verbose": True, "objective": "multiclass"},
        "metrics": [{"name": "accuracy", "regex": "acc=(.*)"}],
        "data": {
            "bucket": None,
            "prefix": "",
            "suffix": "multiclass/",
            "window_days": 1,
            "channels": {
                "train": {"prefix": "input-training", "content_type": "text/csv", "use": "train"},
                "held-out": {"prefix": "input-test", "content_type": "text/csv", "use": "evaluate"},
            },
        },
        "gate": [{"metric": "accuracy", "minimum": 0.9, "maximum": None}],
        "schedule": {"expression": "rate(1 day)", "timezone": "UTC", "enabled": False},
        "smoke": {"content_type": "text/csv", "accept": "application/json", "body": "1,2"},
        "keep_endpoint_configs": 2,
    },
}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same environment as the rendering process has."""
    from pipeline.render.asl import _environment

    for name, value in _environment("eu-west-1").items():
        if name.startswith(("AWS_", "SAGEMAKER_")):
            monkeypatch.setenv(name, value)


@pytest.fixture
def settings_with() -> Callable[..., view.Settings]:
    """Make settings, changed by `{"environment.training.spot": True}`."""

    def make(changes: dict[str, Any] | None = None) -> view.Settings:
        import json

        data = copy.deepcopy(SETTINGS)
        for dotted, value in (changes or {}).items():
            *path, last = dotted.split(".")
            place = data
            for part in path:
                place = place[part]
            place[last] = value
        return view.loads(json.dumps(data))

    return make
