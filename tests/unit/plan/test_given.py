"""A workflow from a file: told in the plan, in both directions; never used by what a build service runs."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline import settings
from pipeline.check.runner import check
from pipeline.cli import _given, build_parser
from pipeline.cli.render import pretty
from pipeline.errors import CheckError, DefinitionError, SettingsError
from pipeline.execution.status import warnings
from pipeline.names import WORKFLOW_FILE
from pipeline.plan import given
from pipeline.plan.desired import action, pipeline
from pipeline.plan.model import ImageAction, Plan, StackAction
from pipeline.render import render
from pipeline.render.model import canonical
from pipeline.settings.model import Settings
from pipeline.settings.workflow import GivenWorkflow

ROOT = Path(__file__).resolve().parents[3]
IMAGE = ImageAction("ml/iris", "src-0123456789abcdef")
ACCOUNT = StackAction("account", "ml-account", "none", "{}")


@pytest.fixture(scope="module")
def iris() -> Settings:
    return settings.load(ROOT, "iris")


@pytest.fixture(scope="module")
def edited(iris: Settings) -> Settings:
    """iris with one number changed in its workflow."""
    asl = render(iris).asl
    asl["States"]["Train"]["TimeoutSeconds"] += 60
    return with_text(iris, canonical(asl))


def with_text(iris: Settings, text: str, label: str = "mine/flow.json") -> Settings:
    return iris.model_copy(update={"workflow": GivenWorkflow(label=label, text=text)})


def plan_of(wanted: Settings, standing: Settings | None) -> Plan:
    desired = pipeline(wanted, render(wanted), IMAGE, "registry")
    stack = action(desired, None, lambda *_: "never")
    before = canonical(render(standing).template) if standing else ""
    stack = StackAction(**{**stack.__dict__, "before": before})
    return Plan("iris", "dev", "111111111111", "eu-west-1", ACCOUNT, (), IMAGE, stack)


def test_the_plan_says_where_the_workflow_comes_from_and_what_ends_it(
    iris: Settings, edited: Settings
) -> None:
    said = " ".join(given.words(plan_of(edited, iris)))
    assert "from the file flow.json" in said
    assert "the next `pipeline apply iris` without --asl" in said


def test_the_next_ordinary_plan_says_what_it_puts_back(iris: Settings, edited: Settings) -> None:
    plan = plan_of(iris, edited)
    said = " ".join(given.words(plan))
    assert "put by hand from the file flow.json" in said
    assert "puts back pipeline/definitions/iris/definition.py" in said


def test_what_is_deployed_by_hand_is_told_by_status(iris: Settings, edited: Settings) -> None:
    assert given.deployed(plan_of(edited, iris)) == ""
    mark = given.deployed(plan_of(iris, edited))
    assert mark.startswith("the file flow.json (sha256 ")
    found: dict[str, Any] = {
        "pipeline": "iris",
        "stack": {"status": "UPDATE_COMPLETE"},
        "drift": {"changes": 0, "workflow": mark},
        "endpoint": None,
        "executions": [],
        "serves": None,
    }
    (said,) = warnings(found)
    assert said.startswith(f"the workflow is from {mark}, put by hand")
    assert warnings({**found, "drift": {"changes": 0, "workflow": ""}}) == []


def test_nothing_is_said_of_a_definition_s_own_workflow(iris: Settings) -> None:
    assert given.words(plan_of(iris, iris)) == given.words(plan_of(iris, None)) == []


def test_it_is_another_plan_so_a_reviewed_one_does_not_carry_it(iris: Settings, edited: Settings) -> None:
    assert plan_of(edited, None).digest != plan_of(iris, None).digest
    same = with_text(iris, canonical(render(iris).asl))
    # Even the same workflow is another plan: that it was given by hand has to be seen.
    assert plan_of(same, None).digest != plan_of(iris, None).digest


def test_rights_follow_the_workflow_that_is_given(iris: Settings) -> None:
    asl = render(iris).asl
    topic = "arn:aws:sns:eu-west-1:111111111111:elsewhere"
    asl["States"]["NothingNew"] = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish",
        "Parameters": {"TopicArn": topic, "Message": "nothing new"},
        "End": True,
    }
    rendered = render(with_text(iris, canonical(asl)))
    role = rendered.template["Resources"]["StateMachineRole"]
    assert topic in canonical(role)
    assert topic not in canonical(render(iris).template["Resources"]["StateMachineRole"])


def test_a_call_whose_rights_are_not_known_is_refused_at_its_line(iris: Settings) -> None:
    asl = render(iris).asl
    resource = "arn:aws:states:::aws-sdk:s3:listBuckets"
    asl["States"]["NothingNew"] = {"Type": "Task", "Resource": resource, "End": True}
    text = pretty(asl)
    line = 1 + next(n for n, each in enumerate(text.splitlines()) if resource in each)
    with pytest.raises(DefinitionError, match="whose permissions are not known") as refused:
        render(with_text(iris, text))
    assert refused.value.where == f"mine/flow.json:{line}"
    assert "pipeline/definitions/iris/definition.py" in refused.value.hint


def test_a_version_says_that_its_workflow_was_a_file_s(iris: Settings, edited: Settings) -> None:
    def facts(wanted: Settings, state: str) -> dict[str, str]:
        found: dict[str, str] = render(wanted).asl["States"][state]["Parameters"][
            "CustomerMetadataProperties"
        ]
        return found

    assert edited.workflow is not None
    for state in ("Register", "RegisterRejected"):
        assert facts(edited, state)[WORKFLOW_FILE] == f"flow.json sha256:{edited.workflow.sha256}"
        assert facts(edited, state)["git_sha.$"] == facts(iris, state)["git_sha.$"]
        assert WORKFLOW_FILE not in facts(iris, state)


def test_a_gate_turned_over_is_refused(iris: Settings) -> None:
    asl = render(iris).asl
    (choice,) = asl["States"]["GatePassed"]["Choices"]
    passed = asl["States"]["GatePassed"]
    choice["Next"], passed["Default"] = passed["Default"], choice["Next"]
    found = [each for each in check(with_text(iris, pretty(asl))).findings if each.rule == "ML608"]
    assert "States.Register" in {each.place for each in found}
    assert {(each.severity, each.file) for each in found} == {("error", "mine/flow.json")}


def test_the_same_rules_are_held_with_the_file_s_own_lines(
    iris: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asl = render(iris).asl
    asl["States"]["Train"]["Parameters"]["Bogus"] = 1
    asl["States"]["Train"]["Catch"][0]["Next"] = "Nowhere"
    file = tmp_path / "flow.json"
    file.write_text(pretty(asl))
    line = 1 + next(n for n, text in enumerate(file.read_text().splitlines()) if '"Bogus"' in text)
    found = check(with_text(iris, file.read_text(), str(file))).findings
    assert (str(file), line) in {(f.file, f.line) for f in found if f.rule == "ML002"}
    assert {"ML001", "ML107"} <= {f.rule for f in found}
    monkeypatch.delenv("CI", raising=False)
    args = argparse.Namespace(asl=str(file))
    with pytest.raises(CheckError, match="errors in the workflow given"):
        _given.with_workflow(args, iris)
    assert f"{file}:{line}: error ML002" in capsys.readouterr().err


def test_a_build_service_is_refused(iris: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(SettingsError, match="a build service deploys what the repository says"):
        _given.with_workflow(argparse.Namespace(asl="flow.json"), iris)
    assert _given.with_workflow(argparse.Namespace(asl=None), iris) is iris


def test_nothing_that_a_build_service_runs_gives_a_workflow() -> None:
    files = [ROOT / "buildspec.yml", *(ROOT / ".github").rglob("*.yml")]
    files += [*(ROOT / "pipeline/ci").glob("*.py"), *(ROOT / "pipeline/cli").glob("*ci*.py")]
    assert len(files) > 20
    for file in files:
        assert not re.search(r"--asl\b|_given|GivenWorkflow|model_copy\(.*workflow", file.read_text()), file
    verbs = {verb for verb in ("plan", "apply") if build_parser().parse_args([verb, "x", "--asl", "f"]).asl}
    assert verbs == {"plan", "apply"}
    with pytest.raises(SystemExit):
        build_parser().parse_args(["ci", "deploy", "--asl", "f"])
