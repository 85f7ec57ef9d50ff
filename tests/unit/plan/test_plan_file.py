"""A plan as a file, and whether it still is what would happen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ApplyError, SettingsError
from pipeline.plan import Plan, dump, load, parse, require_same
from pipeline.plan.model import ImageAction, PropertyChange, ResourceChange, StackAction, UploadAction

CHANGE = ResourceChange(
    "Modify", "Train", "AWS::IAM::Role", "r", (PropertyChange("Policies.[a]", 1, [2], "never"),)
)
NEW = ResourceChange("Add", "Gate", "AWS::Lambda::Function")


def stack(kind: Any, **more: Any) -> StackAction:
    return StackAction(
        kind,
        f"{kind}-stack",
        more.pop("operation", "update"),
        more.pop("template", '{"Resources":{}}'),
        tags=(("project", "ml"),),
        **more,
    )


@pytest.fixture
def plan() -> Plan:
    return Plan(
        name="iris",
        environment="dev",
        account="111111111111",
        region="eu-west-1",
        account_stack=stack("account", operation="none", base="b0"),
        uploads=(UploadAction("bucket", "code/1.zip", "1" * 64, 10, "gate", False),),
        image=ImageAction("ml/iris", "src-1", "sha256:aa", "reg/ml/iris@sha256:aa"),
        pipeline_stack=stack(
            "pipeline", changes=(CHANGE, NEW), base="b1", parameters=(("ImageUri", "reg/ml/iris@sha256:aa"),)
        ),
    )


def test_what_is_written_is_read_back_the_same(plan: Plan) -> None:
    assert parse(dump(plan), "plan.json") == plan
    assert json.loads(dump(plan))["digest"] == plan.digest


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"Modify"', '"Remove"', "changed after it was written"),
        ("src-1", "src-2", "changed after it was written"),
        ('"format": 2', '"format": 99', "format 99"),
        ("{", "", "not a plan file"),
    ],
)
def test_a_file_that_was_touched_is_refused(plan: Plan, old: str, new: str, says: str) -> None:
    with pytest.raises(ApplyError, match=says):
        parse(dump(plan).replace(old, new, 1), "plan.json")


def test_the_digest_is_of_the_desired_not_of_the_deployed(plan: Plan) -> None:
    later = replace(
        plan,
        uploads=(replace(plan.uploads[0], present=True),),
        pipeline_stack=replace(plan.pipeline_stack, base="other", changes=(), operation="none"),
    )
    assert later.digest == plan.digest
    other = replace(plan, pipeline_stack=replace(plan.pipeline_stack, template='{"Resources":{"A":{}}}'))
    assert other.digest != plan.digest


def test_an_image_resolved_later_does_not_change_the_digest(plan: Plan) -> None:
    first = replace(
        plan,
        image=ImageAction("ml/iris", "src-1"),
        pipeline_stack=replace(
            plan.pipeline_stack, parameters=(("ImageUri", "reg/ml/iris:src-1"),), unresolved=("ImageUri",)
        ),
    )
    assert first.digest == plan.digest
    require_same(first, plan, "plan.json")


def test_a_part_that_is_done_already_may_be_missing(plan: Plan) -> None:
    rest = replace(plan, pipeline_stack=replace(plan.pipeline_stack, base="other", changes=(NEW,)))
    require_same(plan, rest, "plan.json")
    require_same(
        plan,
        replace(plan, pipeline_stack=replace(plan.pipeline_stack, base="x", operation="none")),
        "plan.json",
    )


def test_what_was_not_reviewed_is_refused(plan: Plan) -> None:
    drifted = ResourceChange("Remove", "ByHand", "AWS::SNS::Topic")
    fresh = replace(
        plan, pipeline_stack=replace(plan.pipeline_stack, base="x", changes=(CHANGE, NEW, drifted))
    )
    with pytest.raises(ApplyError, match="remove ByHand"):
        require_same(plan, fresh, "plan.json")
    more = replace(CHANGE, properties=(*CHANGE.properties, PropertyChange("MaxSessionDuration", 1, 2)))
    fresh = replace(plan, pipeline_stack=replace(plan.pipeline_stack, base="x", changes=(more,)))
    with pytest.raises(ApplyError, match="modify Train MaxSessionDuration"):
        require_same(plan, fresh, "plan.json")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"environment": "production"}, "planned for iris in dev .*, this is iris in production"),
        ({"image": ImageAction("ml/iris", "src-2", "sha256:bb", "u")}, "container folder is another: image"),
        (
            {"image": ImageAction("ml/iris", "src-1", "sha256:bb", "u")},
            "image tag moved:\n.*another image now",
        ),
        ({"uploads": ()}, "code of gate: no longer there"),
    ],
)
def test_another_desired_state_is_refused(plan: Plan, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ApplyError, match=says):
        require_same(plan, replace(plan, **change), "plan.json")


def test_a_plan_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the plan") as caught:
        load(tmp_path / "none.json")
    assert caught.value.exit_code == 2


def with_parameters(plan: Plan, **values: str) -> Plan:
    more = tuple(sorted({**dict(plan.pipeline_stack.parameters), **values}.items()))
    return replace(plan, pipeline_stack=replace(plan.pipeline_stack, parameters=more))


def test_the_digest_is_not_of_the_commit_but_of_every_other_parameter(plan: Plan) -> None:
    branch, squashed = with_parameters(plan, GitSha="a" * 40), with_parameters(plan, GitSha="b" * 40)
    assert branch.digest == squashed.digest
    require_same(branch, squashed, "plan.json")
    assert with_parameters(plan, Other="1").digest != plan.digest


def test_another_commit_alone_is_no_change_that_was_not_reviewed(plan: Plan) -> None:
    commit = PropertyChange("DefinitionSubstitutions.GitSha", "a", "b")
    fresh = replace(
        plan,
        pipeline_stack=replace(
            plan.pipeline_stack,
            base="x",
            changes=(CHANGE, NEW, ResourceChange("Modify", "M", "T", properties=(commit,))),
        ),
    )
    require_same(plan, fresh, "plan.json")


def test_a_refusal_says_what_differs_and_in_which_part_of_the_world(plan: Plan) -> None:
    template = '{"Resources":{"Train":{"Type":"AWS::IAM::Role","Properties":{"MaxSessionDuration":1}}}}'
    reviewed = replace(plan, pipeline_stack=replace(plan.pipeline_stack, template=template))
    fresh = replace(
        reviewed,
        pipeline_stack=replace(reviewed.pipeline_stack, template=template.replace(":1}", ":2}")),
        uploads=(replace(plan.uploads[0], key="code/2.zip", sha256="2" * 64),),
    )
    with pytest.raises(ApplyError) as caught:
        require_same(reviewed, fresh, "plan.json")
    said = str(caught.value)
    assert "the working tree moved:" in said
    assert "Train MaxSessionDuration: 1 -> 2" in said
    assert "code of gate: 111111111111 -> 222222222222" in said
    assert "the deployed stack" not in said
    assert "pipeline plan iris -e dev --out FILE" in said


def test_an_offline_plan_may_be_applied_as_long_as_nothing_more_would_change(plan: Plan) -> None:
    offline = replace(
        plan,
        against="main (abc)",
        image=replace(plan.image, digest="", uri=""),
        pipeline_stack=replace(plan.pipeline_stack, base="of main"),
    )
    assert parse(dump(offline), "plan.json").against == "main (abc)"
    require_same(offline, plan, "plan.json")
    by_hand = replace(
        plan.pipeline_stack, changes=(*plan.pipeline_stack.changes, ResourceChange("Remove", "X", "T"))
    )
    with pytest.raises(ApplyError, match="the deployed stack moved"):
        require_same(offline, replace(plan, pipeline_stack=by_hand), "plan.json")
