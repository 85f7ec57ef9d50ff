"""mask_rcnn: builds its container, trains it on images of outlined objects, serves it if it is good."""

from __future__ import annotations

from pipeline.steps import (
    Approve,
    Build,
    CheckData,
    Deploy,
    Entrance,
    Evaluate,
    Gate,
    Pipeline,
    Register,
    Reuse,
    Settings,
    Train,
    Tune,
)

# What `pipeline batch` and whoever takes the model from the registry may send, and get.
CONTENT_TYPES = ("image/png", "image/jpeg", "application/x-npy", "application/json")


def define(settings: Settings) -> Pipeline:
    """The workflow. What may vary is in settings.toml; any step of `stepfunctions.steps` fits between."""
    train = Tune(settings) if settings.pipeline.tuning else Train(settings)
    evaluate = Evaluate(settings, train)
    return Pipeline(
        settings,
        [
            Entrance(settings),
            CheckData(settings),
            Reuse(settings, train, evaluate),
            Build(settings),
            train,
            evaluate,
            Gate(settings, train, evaluate),
            Register(settings, train, evaluate, content_types=CONTENT_TYPES),
            Approve(settings),
            Deploy(settings),
        ],
    )
