"""big_mart: predicts what each product sells in each store, by the built-in XGBoost, from raw rows."""

from __future__ import annotations

from pipeline.steps import (
    Approve,
    Bundle,
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
    Transform,
    Tune,
)


def define(settings: Settings) -> Pipeline:
    """Features by the container, trees by SageMaker, both in one artifact: docs/decisions/0035."""
    features = Transform(settings, "features")
    train = Tune(settings) if settings.pipeline.tuning else Train(settings)
    model = Bundle(settings, train, features)
    evaluate = Evaluate(settings, model)
    return Pipeline(
        settings,
        [
            Entrance(settings),
            CheckData(settings),
            Reuse(settings, features, train, model, evaluate),
            features,
            train,
            model,
            evaluate,
            Gate(settings, model, evaluate),
            Register(settings, model, evaluate),
            Approve(settings),
            Deploy(settings),
        ],
    )
