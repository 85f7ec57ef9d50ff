"""A build as it begins: the project's word, and StartBuild's over it."""

from __future__ import annotations

from typing import Any

import botocore.session

from pipeline.local.codebuild import overrides

PROJECT: dict[str, Any] = {
    "name": "p",
    "source": {"type": "S3", "location": "b/k.zip", "buildspec": "a.yml"},
    "artifacts": {"type": "NO_ARTIFACTS"},
    "environment": {
        "type": "LINUX_CONTAINER",
        "image": "one",
        "computeType": "BUILD_GENERAL1_SMALL",
        "environmentVariables": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    },
    "serviceRole": "role",
    "timeoutInMinutes": 60,
    "sourceVersion": "v1",
}


def test_nothing_said_is_the_project() -> None:
    build = overrides.build(PROJECT, {"projectName": "p"})
    assert build["source"] == PROJECT["source"]
    assert build["environment"]["environmentVariables"] == PROJECT["environment"]["environmentVariables"]
    assert (build["serviceRole"], build["sourceVersion"]) == ("role", "v1")
    assert build["_artifacts"] == {"type": "NO_ARTIFACTS"}


def test_what_is_said_goes_before_it_member_by_member() -> None:
    build = overrides.build(
        PROJECT,
        {
            "projectName": "p",
            "buildspecOverride": "b.yml",
            "imageOverride": "two",
            "privilegedModeOverride": True,
            "timeoutInMinutesOverride": 5,
            "serviceRoleOverride": "other",
            "sourceVersion": "v2",
            "environmentVariablesOverride": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}],
        },
    )
    assert build["source"] == {"type": "S3", "location": "b/k.zip", "buildspec": "b.yml"}
    assert (build["environment"]["image"], build["environment"]["privilegedMode"]) == ("two", True)
    assert {v["name"]: v["value"] for v in build["environment"]["environmentVariables"]} == {
        "A": "1",
        "B": "3",
        "C": "4",
    }
    assert (build["timeoutInMinutes"], build["serviceRole"], build["sourceVersion"]) == (5, "other", "v2")
    assert PROJECT["source"]["buildspec"] == "a.yml", "the project is not changed"


def test_every_member_of_the_request_is_known() -> None:
    """One that is neither used nor refused would be dropped without a word."""
    model = botocore.session.get_session().get_service_model("codebuild")
    members = set(model.operation_model("StartBuild").input_shape.members)
    used = {
        *overrides._SOURCE,
        *overrides._ENVIRONMENT,
        *overrides._BUILD,
        *overrides.REFUSED,
        *("projectName", "sourceVersion", "environmentVariablesOverride", "artifactsOverride"),
        *("logsConfigOverride", "idempotencyToken"),
    }
    # How often CodeBuild tries again by itself: builds here fail for their own reasons only.
    assert members - used == {"autoRetryLimitOverride"}
    assert used <= members
