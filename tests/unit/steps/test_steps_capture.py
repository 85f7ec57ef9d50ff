"""What of the endpoint's requests is kept is what the settings say, in CreateEndpointConfig's own fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from pipeline.steps import capture, view

Make = Callable[..., view.Settings]


def test_nothing_is_captured_unless_it_is_asked_for(settings_with: Make) -> None:
    assert capture.config(settings_with()) == {}


@pytest.mark.parametrize("content", [["input"], ["output"], ["input", "output"]])
def test_what_is_captured_is_valid_for_the_api(settings_with: Make, content: list[str]) -> None:
    changes: dict[str, Any] = {"captured_percent": 25, "pipeline.capture.content": content}
    found = capture.config(settings_with(changes))["DataCaptureConfig"]
    assert found["DestinationS3Uri"] == "s3://ml-123456789012-eu-west-1/demo-dev/capture"
    assert found["InitialSamplingPercentage"] == 25
    assert [each["CaptureMode"].lower() for each in found["CaptureOptions"]] == content
    assert found["CaptureContentTypeHeader"] == {
        "CsvContentTypes": ["text/csv"],
        "JsonContentTypes": ["application/json", "application/jsonlines"],
    }
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape = model.shape_for("DataCaptureConfig")
    assert not ParamValidator().validate(found, shape).has_errors()


def test_an_empty_list_of_types_is_left_out(settings_with: Make) -> None:
    changes: dict[str, Any] = {"captured_percent": 1, "pipeline.capture.csv_types": []}
    header = capture.config(settings_with(changes))["DataCaptureConfig"]["CaptureContentTypeHeader"]
    assert set(header) == {"JsonContentTypes"}


def test_the_endpoint_configuration_carries_it(settings_with: Make) -> None:
    from pipeline.steps.deploy import Deploy
    from pipeline.steps.pipeline import reachable

    settings = settings_with({"captured_percent": 5})
    (step,) = [s for s in reachable(Deploy(settings)) if s.state_id == "CreateEndpointConfig"]
    assert step.to_dict()["Parameters"]["DataCaptureConfig"] == capture.config(settings)["DataCaptureConfig"]
