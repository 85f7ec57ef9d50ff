"""What the local Glue offers, held against botocore, CloudFormation's registry and the authorization data."""

from __future__ import annotations

import re
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from policy_sentry.querying.actions import get_action_data

from pipeline.local.adapter.needs import Change, needs
from pipeline.local.api import validation
from pipeline.local.glue import cloudformation, job_checks, service
from pipeline.local.glue.errors import NotSupported
from pipeline.local.glue.store import Scope

SCOPE = Scope("111122223333", "eu-west-1", "arn:aws:iam::111122223333:root")
NAMES = {"JobName": "j", "Name": "j", "JobNames": ["j"], "ResourceArn": SCOPE.arn("job/j")}
OFFERED = {
    "BatchGetJobs", "BatchStopJobRun", "CreateJob", "DeleteJob", "GetJob", "GetJobRun", "GetJobRuns",
    "GetJobs", "GetTags", "ListJobs", "StartJobRun", "TagResource", "UntagResource", "UpdateJob",
}  # fmt: skip


def test_what_is_offered_exists_and_the_rest_is_refused_by_name() -> None:
    assert service.supported() == OFFERED <= validation.operations("glue")
    for name in (
        "CreateCrawler",
        "GetJobBookmark",
        "ResetJobBookmark",
        "StartDataQualityRulesetEvaluationRun",
    ):
        with pytest.raises(NotSupported, match=f"The Glue operation {name} is not supported"):
            service.call(name, {}, SCOPE)


@pytest.mark.parametrize("name", sorted(OFFERED))
def test_the_weighed_resources_are_those_of_the_authorization_reference(name: str) -> None:
    found = get_action_data("glue", name)
    assert found, f"IAM has no action glue:{name}"
    formats = [row["resource_arn_format"] for row in found["glue"]]
    allowed = [re.compile(re.sub(r"\\\$\\\{\w+\\\}", "[^/]+", re.escape(form))) for form in formats]
    members = validation.model("glue").operation_model(name).input_shape.members
    given = {member: value for member, value in NAMES.items() if member in members}
    for arn in service.operations[name].resources(given, SCOPE):
        assert any(form.fullmatch(arn) for form in allowed), f"{arn} is none of {formats}"
        assert arn == SCOPE.arn("job/j") or "*" in formats


def test_every_member_that_is_refused_is_one() -> None:
    members: set[str] = set()
    for name in ("CreateJob", "StartJobRun"):
        members |= set(validation.model("glue").operation_model(name).input_shape.members)
    assert set(job_checks._NOT_OFFERED) <= members


def test_what_a_stack_s_change_takes_is_what_cloudformation_says() -> None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", cloudformation.TYPE).schema
    job = {"Name": "j", "Role": "arn:aws:iam::111122223333:role/r", "Tags": {"a": "b"}}

    def asked(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
        change = Change("111122223333", "eu-west-1", "s", "J", "j" if old else "", old, new)
        found = needs(cloudformation.TYPE, change) or []
        for need in found:
            if need.action == "iam:PassRole":
                assert need.context == {"iam:passedtoservice": "glue.amazonaws.com"}
            else:
                assert need.resource == "arn:aws:glue:eu-west-1:111122223333:job/j"
        return {need.action for need in found}

    changes = {
        "create": asked({}, job),
        "update": asked(job, {**job, "Tags": {}, "Timeout": 3}),
        "delete": asked(job, {}),
    }
    assert {"glue:CreateJob", "iam:PassRole", "glue:TagResource"} <= changes["create"]
    assert {"glue:UpdateJob", "iam:PassRole", "glue:UntagResource"} <= changes["update"]
    assert "glue:DeleteJob" in changes["delete"]
    for verb, actions in changes.items():
        assert actions <= set(schema["handlers"][verb]["permissions"]), verb
    assert schema["primaryIdentifier"] == schema["createOnlyProperties"] == ["/properties/Name"]
    assert not schema.get("readOnlyProperties")  # so there is nothing for GetAtt


def test_the_properties_of_the_type_are_members_of_create_job() -> None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", cloudformation.TYPE).schema
    members = validation.model("glue").operation_model("CreateJob").input_shape.members
    assert set(schema["properties"]) <= set(members)
