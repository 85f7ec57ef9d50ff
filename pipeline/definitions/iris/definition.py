"""iris: trains on each day's flowers and serves the model, if it is good enough."""

from __future__ import annotations

from pipeline.steps import (
    Approve,
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
            train,
            evaluate,
            Gate(settings, train, evaluate),
            Register(settings, train, evaluate),
            Approve(settings),
            Deploy(settings),
        ],
    )
