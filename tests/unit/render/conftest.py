"""Settings of a made-up pipeline, and its state machine without the SDKs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings.model import Settings

ENVIRONMENT: dict[str, Any] = {"account": "123456789012", "region": "eu-west-1", "tags": {"Project": "mine"}}
PIPELINE: dict[str, Any] = {
    "container": "demo",
    "data": {
        "channels": {
            "train": {"prefix": "input-training"},
            "test": {"prefix": "input-test", "use": "evaluate"},
        }
    },
    "gate": [{"metric": "accuracy", "minimum": 0.9}],
    "smoke": {"body": "1,2"},
}


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """`make_settings(environment={...}, pipeline={...}, name=...)`, each over a minimum."""

    def make(
        environment: dict[str, Any] | None = None, pipeline: dict[str, Any] | None = None, **top: Any
    ) -> Settings:
        return Settings.model_validate(
            {
                "root": tmp_path,
                "name": "demo",
                "environment_name": "dev",
                "project": {"name": "ml"},
                "environment": {**ENVIRONMENT, **(environment or {})},
                "pipeline": {**PIPELINE, **(pipeline or {})},
                **top,
            }
        )

    return make


@pytest.fixture
def machine() -> dict[str, Any]:
    """A state machine with one task of each kind that permissions know, one of them in a branch."""
    function = "arn:aws:lambda:eu-west-1:123456789012:function:demo-dev-gate"
    return {
        "StartAt": "Train",
        "States": {
            "Train": {
                "Type": "Task",
                "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
                "Parameters": {
                    "TrainingJobName.$": "States.Format('demo-dev-{}-{}', $.run.run_id, $$.State.RetryCount)",
                    "RoleArn": "${TrainingRoleArn}",
                    "HyperParameters": {"rounds": "10"},
                    "Tags": [{"Key": "a", "Value": "b"}],
                },
                "Next": "Both",
            },
            "Both": {
                "Type": "Parallel",
                "Branches": [
                    {
                        "StartAt": "Gate",
                        "States": {
                            "Gate": {
                                "Type": "Task",
                                "Resource": "arn:aws:states:::lambda:invoke",
                                "Parameters": {
                                    "FunctionName": function,
                                    "Payload": {"rules": [{"metric": "accuracy", "minimum": 0.9}]},
                                },
                                "End": True,
                            }
                        },
                    }
                ],
                "Next": "Save",
            },
            "Save": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:ssm:putParameter",
                "Parameters": {"Name": "/ml/demo-dev/watermark", "Value": "{}", "Overwrite": True},
                "End": True,
            },
        },
    }
