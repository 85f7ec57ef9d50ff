"""mnist: normalises images in Spark, trains a small network on them and serves it, if it is good enough."""

from __future__ import annotations

from pipeline.steps import (
    Approve,
    CheckData,
    Deploy,
    Entrance,
    Evaluate,
    Gate,
    Pipeline,
    QualityGate,
    Register,
    Reuse,
    Settings,
    Train,
    Transform,
    Tune,
)


def define(settings: Settings) -> Pipeline:
    """The workflow. What may vary is in settings.toml; any step of `stepfunctions.steps` fits between."""
    normalise = Transform(settings, "normalise")
    # Where the settings have [tuning], a search takes the place of one training.
    train = Tune(settings) if settings.pipeline.tuning else Train(settings)
    evaluate = Evaluate(settings, train)
    return Pipeline(
        settings,
        [
            Entrance(settings),
            CheckData(settings),
            Reuse(settings, normalise, train, evaluate),
            normalise,
            QualityGate(settings, normalise),
            train,
            evaluate,
            Gate(settings, train, evaluate),
            Register(settings, train, evaluate),
            Approve(settings),
            Deploy(settings),
        ],
    )
