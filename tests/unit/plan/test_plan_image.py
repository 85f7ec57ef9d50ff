"""What a plan says of an image that the registry does not answer for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.aws.stacks import Stack
from pipeline.cli import _plan
from pipeline.image.resolve import ImageSource
from pipeline.plan import planner
from pipeline.plan.desired import DesiredStack, action
from pipeline.plan.model import DEPLOYED, StackAction

SOURCE = ImageSource(Path("container/shop"), "ml/shop", "src-1")


def template(*names: str) -> dict[str, Any]:
    return {
        "Resources": {
            name.title(): {
                "Type": "AWS::ECR::Repository",
                "Properties": {"RepositoryName": {"Fn::Sub": "${Project}/" + name}},
            }
            for name in names
        }
    }


def account(before: tuple[str, ...], after: tuple[str, ...]) -> StackAction:
    standing = Stack("ml-account", "id", "UPDATE_COMPLETE", template=template(*before))
    standing.parameters.update(Project="ml")
    wanted = DesiredStack("account", "ml-account", template(*after), {"Project": "ml"}, {})
    return action(wanted, standing, lambda *_: "never")


@pytest.mark.parametrize(
    ("before", "how", "says"),
    [
        ((), "later", "not known yet (apply makes its repository, then looks; no container engine"),
        (("other",), "later", "not known yet"),
        (("shop",), "missing", "is not in the registry, and no container engine answers; apply needs it"),
    ],
)
def test_an_image_is_missing_only_where_its_repository_could_hold_it(
    monkeypatch: pytest.MonkeyPatch, before: tuple[str, ...], how: str, says: str
) -> None:
    monkeypatch.setattr(planner.resolve, "lookup", lambda *_: None)
    monkeypatch.setattr(planner.engines, "find", lambda: None)
    stack = account(before, (*before, "shop") if "shop" not in before else before)
    clients: Any = None
    image = planner._image(clients, SOURCE, stack, by_workflow=False)
    assert image.how == how
    plan: Any = SimpleNamespace(image=image, against=DEPLOYED, account_stack=stack)
    assert says in "\n".join(_plan._image(plan))
