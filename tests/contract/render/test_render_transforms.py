"""A pipeline with transforms as rendered, held against AWS's models and all of our own rules."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from pipeline import settings
from pipeline.check.registry import rules
from pipeline.check.runner import check
from pipeline.errors import DefinitionError
from pipeline.local.adapter.needs import Change, needs
from pipeline.render import Rendered, account, render
from pipeline.render.tasks import tasks
from pipeline.settings.model import Settings
from tests.conftest import REPOSITORY, copy_repository

FIXTURE = REPOSITORY / "tests" / "fixtures" / "transform"
SCRIPT = "glue_scripts/flowers/features.py"
LIBRARY = "glue_scripts/common/job.py"
BUCKET = "ml-111111111111-eu-west-1"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = copy_repository(tmp_path_factory.mktemp("flowers") / "repository")
    for part in ("glue_scripts", "pipeline"):
        shutil.copytree(FIXTURE / part, made / part, dirs_exist_ok=True)
    yield made


@pytest.fixture(scope="module")
def flowers(root: Path) -> Settings:
    return settings.load(root, "flowers", "dev")


@pytest.fixture(scope="module")
def rendered(flowers: Settings) -> Rendered:
    return render(flowers)


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {k: r["Properties"] for k, r in template["Resources"].items() if r["Type"] == kind}


def validated(operation: str, request: dict[str, Any]) -> None:
    model = botocore.session.get_session().get_service_model("glue")
    shape = model.operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()


def test_all_rules_and_linters_are_content(flowers: Settings) -> None:
    found = check(flowers).findings
    # The container is iris's, whose settings accept this one.
    assert [f"{f.rule} {f.message}" for f in found if f.rule != "ML706"] == []
    assert {rule.id for rule in rules()} >= {f"ML80{number}" for number in range(1, 7)}


def test_jobs_are_requests_that_glue_takes(rendered: Rendered) -> None:
    jobs = of_type(rendered.template, "AWS::Glue::Job")
    assert sorted(job["Name"] for job in jobs.values()) == ["flowers-dev-features", "flowers-dev-held_back"]
    for job in jobs.values():
        assert job["Role"] == {"Fn::GetAtt": ["TransformRole", "Arn"]}
        validated("CreateJob", {**job, "Role": "arn:aws:iam::111111111111:role/x"})


def test_runs_are_requests_that_glue_takes(rendered: Rendered) -> None:
    seen = 0
    for _, state in tasks(rendered.asl):
        if ":glue:" in state["Resource"]:
            seen += 1
            given = {k.removesuffix(".$"): v for k, v in state["Parameters"]["Arguments"].items()}
            validated("StartJobRun", {**state["Parameters"], "Arguments": given})
            # Each is text: the API takes no other.
            assert {type(value) for value in given.values()} == {str}
    assert seen == 2


def test_code_is_where_the_run_is_told_to_find_it(rendered: Rendered) -> None:
    held = {f"s3://{BUCKET}/{package.key}": package for package in rendered.code}
    for _, state in tasks(rendered.asl):
        if ":glue:" in state["Resource"]:
            given = state["Parameters"]["Arguments"]
            assert held[given["--scriptLocation"]].content == (FIXTURE / SCRIPT).read_bytes()
            assert held[given["--extra-py-files"]].name == "common"
    for job in of_type(rendered.template, "AWS::Glue::Job").values():
        assert job["Command"]["ScriptLocation"] in held


def test_a_change_of_script_or_library_is_another_run_and_another_job(root: Path, rendered: Rendered) -> None:
    for path in (SCRIPT, LIBRARY):
        file = root / path
        text = file.read_text()
        file.write_text(f"{text}\n# changed\n")
        changed = render(settings.load(root, "flowers", "dev"))
        file.write_text(text)
        assert changed.digest != rendered.digest
        for name, job in of_type(changed.template, "AWS::Glue::Job").items():
            assert job != of_type(rendered.template, "AWS::Glue::Job")[name]
    assert render(settings.load(root, "flowers", "dev")).digest == rendered.digest


@pytest.mark.parametrize(
    ("text", "says"), [(None, "the transform 'features' has no script"), ("def (", "SyntaxError")]
)
def test_a_script_that_cannot_run_is_refused_before_anything_is_deployed(
    root: Path, text: str | None, says: str
) -> None:
    file = root / SCRIPT
    kept = file.read_text()
    file.unlink()
    if text is not None:
        file.write_text(text)
    try:
        with pytest.raises(DefinitionError) as refused:
            render(settings.load(root, "flowers", "dev"))
    finally:
        file.write_text(kept)
    assert says in refused.value.what and refused.value.where.startswith(SCRIPT)


def statements(rendered: Rendered, role: str) -> list[dict[str, Any]]:
    policy = rendered.template["Resources"][role]["Properties"]["Policies"][0]
    found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return found


def granted(rendered: Rendered, role: str, action: str) -> set[str]:
    found = [s for s in statements(rendered, role) if action in s["Action"]]
    return {str(resource) for statement in found for resource in statement["Resource"]}


def test_each_role_may_do_its_part_and_no_more(rendered: Rendered) -> None:
    s3 = f"arn:aws:s3:::{BUCKET}"
    assert granted(rendered, "TransformRole", "s3:GetObject") == {
        f"{s3}/code/*",
        f"{s3}/input-flowers/*",
        f"{s3}/flowers-dev/runs/*",
    }
    assert granted(rendered, "TransformRole", "s3:PutObject") == {f"{s3}/flowers-dev/runs/*"}
    # What is trained on is what the transforms made, not the data itself.
    assert granted(rendered, "TrainingRole", "s3:GetObject") >= {f"{s3}/flowers-dev/runs/*"}
    assert f"{s3}/input-flowers/*" not in granted(rendered, "TrainingRole", "s3:GetObject")
    assert f"{s3}/input-flowers/*" not in granted(rendered, "ProcessingRole", "s3:GetObject")
    job = "arn:aws:glue:eu-west-1:111111111111:job/flowers-dev-"
    for action in ("StartJobRun", "GetJobRun", "GetJobRuns", "BatchStopJobRun"):
        assert granted(rendered, "StateMachineRole", f"glue:{action}") == {
            f"{job}features",
            f"{job}held_back",
        }
    passed = [s for s in statements(rendered, "StateMachineRole") if "iam:PassRole" in s["Action"]]
    # The job has its role already: who starts a run passes none.
    assert "TransformRole" not in json.dumps(passed)


def test_a_pipeline_without_transforms_has_nothing_of_glue() -> None:
    iris = render(settings.load(REPOSITORY, "iris", "dev"))
    assert iris.scripts == ()
    assert not of_type(iris.template, "AWS::Glue::Job")
    assert "TransformRole" not in iris.template["Resources"]
    assert not [state for _, state in tasks(iris.asl) if ":glue:" in state["Resource"]]


def test_the_account_lets_glue_jobs_be_deployed_within_the_boundary(flowers: Settings) -> None:
    policies = [
        r["Properties"]
        for r in account(flowers)["Resources"].values()
        if r["Type"] == "AWS::IAM::ManagedPolicy"
    ]
    text = {p["ManagedPolicyName"]: json.dumps(p["PolicyDocument"]) for p in policies}
    assert (
        "job/*-dev-*" in text["ml-dev-boundary"] and "log-group:/aws-glue/jobs/*" in text["ml-dev-boundary"]
    )
    # Roles that deploy exist where GitHub's jobs do; what they take of Glue is what a change of a job takes.
    change = Change(
        "111111111111", "eu-west-1", "flowers-dev", "F", "", {}, {"Name": "x", "Role": "r", "Tags": {}}
    )
    gone = replace(change, old=change.new, new={})
    written = (REPOSITORY / "cloudformation" / "account.yaml").read_text()
    for need in [*(needs("AWS::Glue::Job", change) or []), *(needs("AWS::Glue::Job", gone) or [])]:
        assert f"- {need.action}\n" in written or need.action == "iam:PassRole"
    assert "- glue.amazonaws.com\n" in written
