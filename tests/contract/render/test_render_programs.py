"""big_mart as rendered: what its jobs ask, held against AWS's models; and who may do what."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from pipeline import settings
from pipeline.check.runner import check
from pipeline.render import Rendered, render
from pipeline.render.tasks import call, tasks
from tests.conftest import REPOSITORY

ENVIRONMENTS = ("dev", "staging", "production")
BUCKET = "arn:aws:s3:::ml-{account}-eu-west-1"


@cache
def rendered(environment: str) -> Rendered:
    return render(settings.load(REPOSITORY, "big_mart", environment))


def statements(environment: str, role: str) -> list[dict[str, Any]]:
    template = rendered(environment).template
    found: list[dict[str, Any]] = template["Resources"][f"{role}Role"]["Properties"]["Policies"][0][
        "PolicyDocument"
    ]["Statement"]
    return found


def request(parameters: Any) -> Any:
    """A request as it will be sent: paths and calls as texts, tokens filled in."""
    if isinstance(parameters, dict):
        return {key.removesuffix(".$"): request(value) for key, value in parameters.items()}
    if isinstance(parameters, list):
        return [request(each) for each in parameters]
    if isinstance(parameters, str) and parameters.startswith("${"):
        return "arn:aws:iam::111111111111:role/any"
    return "x" if isinstance(parameters, str) and parameters.startswith(("$", "States.")) else parameters


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_job_is_a_request_that_aws_takes(environment: str) -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    seen = set()
    for name, state in tasks(rendered(environment).asl):
        called = call(state["Resource"])
        if called is None or called.service != "sagemaker" or called.pattern != "sync":
            continue
        shape = model.operation_model(called.operation).input_shape
        report = ParamValidator().validate(request(copy.deepcopy(state["Parameters"])), shape)
        assert not report.has_errors(), f"{name}: {report.generate_report()}"
        for argument in state["Parameters"].get("AppSpecification", {}).get("ContainerArguments", []):
            assert len(argument) <= 256, "ContainerArgument's limit, which botocore does not hold"
        seen.add(name)
    assert seen == {"Features", "Train", "Bundle", "Evaluate", "EvaluateChampion"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_it_is_clean_by_all_rules(environment: str) -> None:
    assert check(settings.load(REPOSITORY, "big_mart", environment)).findings == []


def test_a_program_needs_no_glue_role_and_no_glue_job() -> None:
    template = rendered("dev").template
    assert "TransformRole" not in template["Resources"]
    assert not [r for r in template["Resources"].values() if r["Type"] == "AWS::Glue::Job"]
    actions = {a for s in statements("dev", "StateMachine") for a in s["Action"]}
    assert not [action for action in actions if action.startswith("glue:")]


def test_the_processing_role_reads_what_programs_read_and_writes_reports_and_bundles() -> None:
    bucket = BUCKET.format(account="111111111111")
    puts = [s for s in statements("dev", "Processing") if "s3:PutObject" in s["Action"]]
    assert sorted(resource for each in puts for resource in each["Resource"]) == [
        f"{bucket}/big-mart-dev/runs/*",
        f"{bucket}/output-model/*big-mart-dev-*-bundle/*",
    ]
    gets = {
        r for s in statements("dev", "Processing") if "s3:GetObject" in s["Action"] for r in s["Resource"]
    }
    assert gets == {f"{bucket}/big-mart-dev/runs/*", f"{bucket}/input-sales/*", f"{bucket}/output-model/*"}
    # Who trains reads what was made for it, and no raw data.
    gets = {r for s in statements("dev", "Training") if "s3:GetObject" in s["Action"] for r in s["Resource"]}
    assert f"{bucket}/input-sales/*" not in gets
    for role in ("Model", "Training"):
        puts = [s for s in statements("dev", role) if "s3:PutObject" in s["Action"]]
        assert not [r for s in puts for r in s["Resource"] if "bundle" in r]


def test_without_a_bundle_the_processing_role_writes_no_model() -> None:
    template = render(settings.load(REPOSITORY, "iris", "dev")).template
    policy = template["Resources"]["ProcessingRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    puts = [s for s in policy["Statement"] if "s3:PutObject" in s["Action"]]
    assert [r for s in puts for r in s["Resource"]] == [
        "arn:aws:s3:::ml-111111111111-eu-west-1/iris-dev/runs/*"
    ]
