"""What a run tells of a working tree that is not what is deployed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.aws.stacks import Stack
from pipeline.errors import TargetError
from pipeline.image.resolve import ImageRef, ImageSource
from pipeline.plan import deployed

TEMPLATE = {"Resources": {"StateMachine": {"Type": "T", "Properties": {"a": 1}}}}
DIGEST = ImageRef("ml/iris", "src-1", "sha256:a", "host/ml/iris@sha256:a")
CLIENTS: Any = None


def settings(build: object = None) -> Any:
    return SimpleNamespace(stack_name="iris-dev", pipeline=SimpleNamespace(build=build))


def standing(monkeypatch: pytest.MonkeyPatch, uri: str, ours: dict[str, Any] = TEMPLATE) -> None:
    stack = Stack("iris-dev", "id", "UPDATE_COMPLETE", template=TEMPLATE, parameters={"ImageUri": uri})
    monkeypatch.setattr(deployed.stacks, "read", lambda *_: stack)
    source = ImageSource(Path("container/iris"), "ml/iris", "src-1")
    monkeypatch.setattr(deployed.resolve, "source", lambda _: source)
    monkeypatch.setattr(deployed.resolve, "lookup", lambda *_: DIGEST)
    monkeypatch.setattr(deployed, "render", lambda _: SimpleNamespace(template=ours))


@pytest.mark.parametrize(
    ("build", "uri", "says"),
    [
        (None, DIGEST.uri, []),
        (None, "host/ml/iris@sha256:b", ["container"]),
        (object(), "host/ml/iris:src-1", []),
        (object(), "host/ml/iris:src-0", ["container"]),
    ],
)
def test_a_container_that_was_changed_is_noticed(
    monkeypatch: pytest.MonkeyPatch, build: object, uri: str, says: list[str]
) -> None:
    standing(monkeypatch, uri)
    assert deployed.differing(settings(build), CLIENTS) == says


def test_a_workflow_that_was_changed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    standing(monkeypatch, DIGEST.uri, {"Resources": {}})
    assert deployed.differing(settings(), CLIENTS) == ["workflow"]


def test_who_may_not_ask_runs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> Stack:
        raise TargetError("not authorized", where="aws")

    monkeypatch.setattr(deployed.stacks, "read", denied)
    assert deployed.differing(settings(), CLIENTS) == []
    monkeypatch.setattr(deployed.stacks, "read", lambda *_: None)
    assert deployed.differing(settings(), CLIENTS) == []
