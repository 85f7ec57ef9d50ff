"""What the interpreter takes from MiniStack and botocore, pinned by name."""

from __future__ import annotations

import botocore.session
import pytest
from ministack.services import stepfunctions

from pipeline.local.states import sdknames, seams
from pipeline.local.states.integrations.aws_sdk import botocore_name
from pipeline.local.states.integrations.sagemaker import JOBS, OTHERS


@pytest.mark.parametrize("name", seams.USED)
def test_ministack_still_has(name: str) -> None:
    assert hasattr(stepfunctions, name)


def test_handlers_are_looked_up_when_a_request_comes() -> None:
    """install() replaces module functions: a table made at import would keep the old ones."""
    source = stepfunctions.handle_request.__code__
    assert {"_start_execution", "_stop_execution", "_create_state_machine"} <= set(source.co_names)


def test_every_service_of_botocore_has_its_integration_name() -> None:
    session = botocore.session.get_session()
    loader = session.get_component("data_loader")
    # Two botocore names for one service id.
    for service in set(session.get_available_services()) - {"pinpoint-sms-voice"}:
        metadata = loader.load_service_model(service, "service-2")["metadata"]
        integration = metadata.get("serviceId", service).replace(" ", "").replace("-", "").lower()
        assert botocore_name(integration) == service, f"{integration} belongs to {sdknames.BOTOCORE_NAMES}"


def test_sagemakers_optimised_apis_exist_with_what_waiting_needs() -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    operations = {name.lower(): name for name in model.operation_names}
    assert all(api.lower() in operations for api in OTHERS)
    for api, job in JOBS.items():
        described = model.operation_model(job.describe).output_shape
        statuses = set(described.members[job.status].enum)
        assert job.succeeded | job.failed <= statuses, api
        assert statuses - job.succeeded - job.failed <= {
            "InProgress",
            "Stopping",
            "Initializing",
            "Deleting",
        } | {"DeleteFailed"}
        assert job.stop in model.operation_names


def test_intrinsics_and_jsonata_of_ministack() -> None:
    assert seams.run_intrinsic("States.Format", ["a{}", "b"]) == "ab"
    assert seams.run_intrinsic("States.Hash", ["x", "SHA-1"]) == "11f6ad8ec52a2984abaafd7c3b516503785c2072"
    assert seams.jsonata("$states.input.a + $v", "Output", {"a": 1}, {}, {"v": 2}) == 3
