"""Train and Tune with [algorithm]: AWS's image, no metrics of one's own, and a role that may pull it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator

from pipeline.errors import DefinitionError
from pipeline.steps import view
from tests.unit.steps.test_steps_tune import filled, whole

Make = Callable[..., view.Settings]
URI = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.0-5"
ALGORITHM = {"name": "xgboost", "version": "3.0-5"}


def test_train_runs_awss_image_of_the_region_with_its_own_metrics(settings_with: Make) -> None:
    asl = whole(settings_with({"pipeline.algorithm": ALGORITHM, "pipeline.metrics": []}))
    state = asl["States"]["Train"]
    given = state["Parameters"]["AlgorithmSpecification"]
    assert given["TrainingImage"] == URI and given["TrainingInputMode"] == "File"
    assert "MetricDefinitions" not in given
    assert "xgboost 3.0-5" in state["Comment"]
    # What evaluates and serves is the pipeline's own.
    assert asl["States"]["Evaluate"]["Parameters"]["AppSpecification"]["ImageUri"] == "${ImageUri}"


def test_a_search_runs_it_too(settings_with: Make) -> None:
    changes = {"pipeline.algorithm": ALGORITHM, "pipeline.metrics": [], "pipeline.tuning": filled({})}
    given = whole(settings_with(changes))["States"]["Tune"]["Parameters"]
    assert given["TrainingJobDefinition"]["AlgorithmSpecification"] == {
        "TrainingImage": URI,
        "TrainingInputMode": "File",
    }
    shape = get_session().get_service_model("sagemaker").operation_model("CreateHyperParameterTuningJob")
    member = shape.input_shape.members["TrainingJobDefinition"].members["AlgorithmSpecification"]
    specification: Any = given["TrainingJobDefinition"]["AlgorithmSpecification"]
    assert not ParamValidator().validate(specification, member).generate_report()


def test_a_region_without_the_image_is_an_error_of_the_definition(settings_with: Make) -> None:
    settings = settings_with({"pipeline.algorithm": ALGORITHM, "environment.region": "xx-nowhere-1"})
    with pytest.raises(DefinitionError, match=r"no image of xgboost 3\.0-5 in xx-nowhere-1"):
        whole(settings)
