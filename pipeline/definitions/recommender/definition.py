"""recommender: learns from ratings what a user would like, recalls candidates by item2vec and ranks them."""

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
    Together,
    Train,
    TrainingMetrics,
    Transform,
    publish,
)


def define(settings: Settings) -> Pipeline:
    """Two Glue jobs at once, then one training, gate and endpoint for both: docs/decisions/0029."""
    features = Transform(settings, "features")
    item2vec = Transform(settings, "item2vec")
    train = Train(settings)
    evaluate = Evaluate(settings, train)
    return Pipeline(
        settings,
        [
            Entrance(settings),
            CheckData(settings),
            Reuse(settings, features, item2vec, train, evaluate),
            Together(settings, [features], [item2vec, publish(settings, item2vec, "embeddings")]),
            QualityGate(settings, features, item2vec),
            train,
            TrainingMetrics(settings, train),
            evaluate,
            Gate(settings, train, evaluate),
            Register(settings, train, evaluate),
            Approve(settings),
            Deploy(settings),
        ],
    )
