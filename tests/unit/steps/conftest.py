"""Settings as a definition gets them, and the SDKs imported without asking AWS anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.steps import view

GIVEN: dict[str, Any] = {
    "root": Path("/nowhere"),
    "name": "demo",
    "environment_name": "dev",
    "project": {"name": "ml"},
    "environment": {
        "account": "123456789012",
        "region": "eu-west-1",
        "training": {"max_runtime_seconds": 600},
        "processing": {"max_runtime_seconds": 300},
        "endpoint": {"instance_count": 2},
        "tags": {"team": "flowers"},
    },
    "pipeline": {
        "description": "A demo",
        "container": "demo",
        "hyperparameters": {"rounds": 10, "rate": 0.5, "verbose": True, "objective": "multiclass"},
        "metrics": [{"name": "accuracy", "regex": "acc=(.*)"}],
        "data": {
            "suffix": "multiclass/",
            "channels": {
                "train": {"prefix": "input-training"},
                "held-out": {"prefix": "input-test", "use": "evaluate"},
            },
        },
        "gate": [{"metric": "accuracy", "minimum": 0.9}],
        "smoke": {"body": "1,2"},
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
        from pipeline.render.asl import settings_json
        from pipeline.settings.model import Settings

        data = json.loads(settings_json(Settings.model_validate(GIVEN)))
        for dotted, value in (changes or {}).items():
            *path, last = dotted.split(".")
            place = data
            for part in path:
                place = place[part]
            place[last] = value
        return view.loads(json.dumps(data))

    return make
