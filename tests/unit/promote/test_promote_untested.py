"""A release of several pipelines: what staging has not tested is left out if nothing is lost by it."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.cli import promote
from pipeline.promote import release, tested, untested
from pipeline.promote.tags import Tag
from pipeline.promote.tested import NeverDeployed, NotTested
from tests.unit.promote.conftest import Git, Stubbed

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def way(root: Path, git: Git, target: Any, name: str = "iris") -> Any:
    tag = Tag("v1.2.3", git("rev-parse", "HEAD"), "main", "someone")
    goal = SimpleNamespace(
        name=name, stack_name=f"{name}-production", environment_name="production", root=root
    )
    origin = SimpleNamespace(environment_name="staging", stack_name=f"{name}-staging")
    return SimpleNamespace(root=root, tag=tag, goal=goal, origin=origin, target=target)


def production_is_applied_from(aws: Stubbed, commit: str | None) -> None:
    if commit is None:
        text = "Stack with id iris-production does not exist"
        aws.cloudformation.add_client_error("describe_stacks", "ValidationError", text)
        return
    stack = {
        "StackName": "iris-production",
        "StackId": "arn:aws:cloudformation:eu-west-1:333333333333:stack/iris-production/1",
        "StackStatus": "UPDATE_COMPLETE",
        "CreationTime": NOW,
        "Parameters": [{"ParameterKey": "GitSha", "ParameterValue": commit}],
    }
    aws.cloudformation.add_response("describe_stacks", {"Stacks": [stack]})


@pytest.mark.parametrize(
    ("applied", "error", "told"),
    [
        ("same", NotTested("it is Failed"), "v1.2.3 changes nothing of it: production is applied from"),
        ("other", NotTested("it is Failed"), ""),
        ("other", NeverDeployed("no endpoint"), ""),
        (None, NeverDeployed("no endpoint"), "neither staging nor production serves it yet"),
        (None, NotTested("it serves version 3 of another commit"), ""),
    ],
)
def test_only_what_the_tag_does_not_change_may_wait(
    repository: Path,
    git: Git,
    production: Stubbed,
    monkeypatch: pytest.MonkeyPatch,
    applied: str | None,
    error: NotTested,
    told: str,
) -> None:
    monkeypatch.setattr(tested, "sources", lambda _: ["pipeline.toml"])
    before = git("rev-parse", "HEAD")
    (repository / "README.md").write_text("more\n")
    git("commit", "-qam", "Docs")
    if applied == "other":
        (repository / "pipeline.toml").write_text("a = 2\n")
        git("commit", "-qam", "Change")
    production_is_applied_from(production, before if applied else None)
    said = untested.may_wait(way(repository, git, production.clients), error)
    assert said.startswith(told) if told else said == ""


@pytest.mark.parametrize(
    ("failing", "may_wait", "named", "released"),
    [
        ({"b"}, True, None, ["a", "c"]),
        ({"b"}, False, None, None),
        ({"a", "b", "c"}, True, None, None),
        ({"b"}, True, "b", None),
    ],
)
def test_the_others_are_released_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failing: set[str],
    may_wait: bool,
    named: str | None,
    released: list[str] | None,
) -> None:
    def find(one: Any) -> tuple[str, str]:
        if one.goal.name in failing:
            raise NotTested(f"nothing of {one.goal.name}")
        return "tested", "image"

    monkeypatch.setattr(release, "find", find)
    monkeypatch.setattr(untested, "may_wait", lambda *_: "served nowhere" if may_wait else "")
    goals = [SimpleNamespace(name=name) for name in "abc"]
    ways: Any = [SimpleNamespace(goal=g, origin=SimpleNamespace(environment_name="staging")) for g in goals]
    args = argparse.Namespace(pipeline=named)
    if released is None:
        with pytest.raises(NotTested, match="nothing of"):
            promote._find(args, ways)
        return
    found, left_out = promote._find(args, ways)
    assert [one.goal.name for one, *_ in found] == released
    assert left_out == {"b": "not tested in staging (nothing of b); served nowhere"}
    assert "b: left out: not tested in staging" in capsys.readouterr().err
