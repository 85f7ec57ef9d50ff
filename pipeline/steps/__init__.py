"""Reusable, gated building blocks over the stepfunctions SDK, for the files in `pipeline/definitions`.

    from pipeline.steps import Approve, CheckData, Deploy, Evaluate, Gate, Pipeline, Register, Train

Any step of `stepfunctions.steps` may stand between them. Names are imported when first used: the SDKs cost
seconds, and only the process that renders pays them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.steps.approval import Approve
    from pipeline.steps.build import Build, BuildByLambda
    from pipeline.steps.bundle import Bundle
    from pipeline.steps.check_data import CheckData
    from pipeline.steps.deploy import Deploy
    from pipeline.steps.entrance import Entrance
    from pipeline.steps.evaluate import Evaluate
    from pipeline.steps.gate import Gate
    from pipeline.steps.notify import tell
    from pipeline.steps.pipeline import Pipeline
    from pipeline.steps.publication import publish
    from pipeline.steps.quality_gate import QualityGate
    from pipeline.steps.register import Register
    from pipeline.steps.reuse import Reuse
    from pipeline.steps.together import Together
    from pipeline.steps.train import Train
    from pipeline.steps.training_metrics import TrainingMetrics
    from pipeline.steps.transform import Transform
    from pipeline.steps.tune import Tune
    from pipeline.steps.view import Settings

__all__ = [
    "Approve",
    "Build",
    "BuildByLambda",
    "Bundle",
    "CheckData",
    "Deploy",
    "Entrance",
    "Evaluate",
    "Gate",
    "Pipeline",
    "QualityGate",
    "Register",
    "Reuse",
    "Settings",
    "Together",
    "Train",
    "TrainingMetrics",
    "Transform",
    "Tune",
    "publish",
    "tell",
]

_HOME = {
    "Approve": "approval",
    "Build": "build",
    "BuildByLambda": "build",
    "Bundle": "bundle",
    "CheckData": "check_data",
    "Deploy": "deploy",
    "Entrance": "entrance",
    "Evaluate": "evaluate",
    "Gate": "gate",
    "Pipeline": "pipeline",
    "QualityGate": "quality_gate",
    "Register": "register",
    "Reuse": "reuse",
    "Settings": "view",
    "Together": "together",
    "Train": "train",
    "TrainingMetrics": "training_metrics",
    "Transform": "transform",
    "Tune": "tune",
    "publish": "publication",
    "tell": "notify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"pipeline.steps has no {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"pipeline.steps.{_HOME[name]}"), name)
