"""mask_rcnn, whose image its own workflow builds, as rendered: AWS's models and our own rules agree."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from policy_sentry.querying.actions import get_action_data

from pipeline import settings
from pipeline.check.runner import check
from pipeline.render import Rendered, render
from pipeline.render.tasks import call, tasks
from tests.conftest import REPOSITORY

ENVIRONMENTS = ("dev", "staging", "production")


@cache
def rendered(environment: str) -> Rendered:
    return render(settings.load(REPOSITORY, "mask_rcnn", environment))


def small(value: Any) -> Any:
    """Keys as botocore has them."""
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: small(item) for key, item in value.items()}
    return [small(item) for item in value] if isinstance(value, list) else value


def validated(service: str, operation: str, request: dict[str, Any]) -> None:
    model = botocore.session.get_session().get_service_model(service)
    report = ParamValidator().validate(request, model.operation_model(operation).input_shape)
    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_all_rules_and_linters_are_content(environment: str) -> None:
    found = check(settings.load(REPOSITORY, "mask_rcnn", environment)).findings
    assert [f"{f.rule} {f.message}" for f in found] == []


def test_the_build_and_the_questions_are_requests_that_aws_takes() -> None:
    seen = set()
    for _, state in tasks(rendered("dev").asl):
        called = call(state["Resource"])
        if called and called.service in ("codebuild", "ecr"):
            seen.add(called.operation)
            validated(called.service, called.operation, small(state["Parameters"]))
    assert seen == {"StartBuild", "DescribeImages"}


def test_the_project_is_one_that_codebuild_takes() -> None:
    resources = rendered("dev").template["Resources"]
    properties = dict(resources["BuildProject"]["Properties"])
    assert properties.pop("ServiceRole") == {"Fn::GetAtt": ["BuildRole", "Arn"]}
    request = small({**properties, "LogsConfig": {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": "g"}}})
    request["source"]["buildspec"] = request["source"].pop("buildSpec")
    validated("codebuild", "CreateProject", {**request, "serviceRole": "arn:aws:iam::1:role/x"})
    trust = resources["BuildRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
    assert trust["Principal"] == {"Service": "codebuild.amazonaws.com"}


def test_every_action_of_the_new_roles_is_one_of_aws() -> None:
    resources = rendered("dev").template["Resources"]
    for role in ("BuildRole", "ExplainBuildRole", "StateMachineRole"):
        for statement in resources[role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]:
            for action in statement["Action"]:
                service, name = action.split(":")
                assert get_action_data(service, name), f"{role}: {action}"


def test_every_environment_builds_the_same_source_and_pushes_into_its_own_registry() -> None:
    tags, registries = set(), set()
    for environment in ENVIRONMENTS:
        request = rendered(environment).asl["States"]["BuildImage"]["Parameters"]
        variables = {each["Name"]: each["Value"] for each in request["EnvironmentVariablesOverride"]}
        tags.add(variables["IMAGE_TAG"])
        registries.add(variables["IMAGE_REPOSITORY"].partition(".")[0])
        key = request["SourceLocationOverride"].partition("/")[2]
        assert key in {package.key for package in rendered(environment).code}
    assert len(tags) == 1 and re.fullmatch(r"src-[0-9a-f]{16}", tags.pop())
    assert len(registries) == len(ENVIRONMENTS)
