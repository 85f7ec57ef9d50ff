"""TrainingMetrics asks by name and lets only kept rules go on; publish says where a dataset's manifest is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import steps
from pipeline.settings.transforms import Transform
from pipeline.steps import view
from pipeline.steps.child import to_asl

Make = Callable[..., view.Settings]


def asl_of(settings: view.Settings, **given: Any) -> dict[str, Any]:
    train = steps.Train(settings)
    evaluate = steps.Evaluate(settings, train)
    metrics = steps.TrainingMetrics(settings, train, **given)
    blocks = [steps.CheckData(settings), train, metrics, evaluate, steps.Gate(settings, train, evaluate),
              steps.Register(settings, train, evaluate), steps.Deploy(settings)]  # fmt: skip
    asl: dict[str, Any] = to_asl(steps.Pipeline(settings, blocks))
    return asl


def test_all_metrics_of_the_settings_are_asked_for_by_name(settings_with: Make) -> None:
    states = asl_of(settings_with())["States"]
    payload = states["TrainingMetrics"]["Parameters"]["Payload"]
    assert payload["metrics"] == ["accuracy"]
    assert payload["rules"] == []
    assert payload["training_job_name.$"] == "$.training.TrainingJobName"
    assert "TrainingMetricsPassed" not in states


def test_a_broken_rule_fails_the_run_with_its_reason(settings_with: Make) -> None:
    states = asl_of(settings_with(), rules=[{"metric": "accuracy", "minimum": 0.9}])["States"]
    choice = states["TrainingMetricsPassed"]
    kept = {"Variable": "$.training_metrics.passed", "BooleanEquals": True}
    assert choice["Choices"] == [{**kept, "Next": "BeginEvaluate"}]
    # Whatever no rule foresaw ends the run.
    assert choice["Default"] == "TrainingMetricsRejected"
    failed = states["TrainingMetricsRejected"]
    assert failed["Parameters"] == {
        "Error": "TrainingMetricsRejected",
        "Cause.$": "$.training_metrics.reason",
    }
    assert failed["Next"] == "HasCause"


@pytest.mark.parametrize("given", [{"metrics": ["auc"]}, {"rules": [{"metric": "auc", "minimum": 1}]}])
def test_a_metric_that_the_settings_do_not_define_cannot_be_asked_for(
    settings_with: Make, given: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="define accuracy; asked for: auc"):
        asl_of(settings_with(), **given)


def test_publish_names_the_manifest_in_a_parameter_of_the_stack(settings_with: Make) -> None:
    transform = Transform.model_validate({"script": "demo/vectors.py", "reads": ["raw"]})
    channels = settings_with().pipeline.data.channels
    raw = {**channels["train"], "prefix": "input-raw", "use": "transform", "made_by": None}
    settings = settings_with(
        {
            "pipeline.transforms": {"vectors": json.loads(transform.model_dump_json())},
            "pipeline.data.channels": {**channels, "raw": raw},
            "code": {"scripts": {"vectors": "s3://b/code/1.py"}, "library": "s3://b/code/2.zip"},
        }
    )
    state = steps.publish(settings, steps.Transform(settings, "vectors"), "embeddings").to_dict()
    assert state["Resource"].endswith(":aws-sdk:ssm:putParameter")
    assert state["Parameters"] == {
        "Name": "/ml/demo-dev/embeddings",
        "Value.$": "States.Format('{}/manifests/embeddings.json', $.transforms.vectors.output)",
        "Type": "String",
        "Overwrite": True,
    }
    # What it answers is not kept: the transform's result stays what it was.
    assert state["ResultPath"] is None
