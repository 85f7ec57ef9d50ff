"""What the next run would do, from what the pipeline's own functions answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.aws import Clients, Target
from pipeline.plan import functions, skips
from pipeline.plan.model import ImageAction
from pipeline.plan.skips import Forecast
from tests.conftest import REPOSITORY
from tests.unit.plan import example

ASL = example.asl(example.plan_example.template())
IMAGE = ImageAction("ml/iris", "src-1", "sha256:aa", "u", "reuse", "it is there")
IMAGE_URI = f"111111111111.dkr.ecr.eu-west-1.amazonaws.com/ml/iris@sha256:{'a' * 64}"
NEW = {"new": True, "date": "2026-11-21", "reason": "the data differs"}


def does(said: Forecast, image: ImageAction = IMAGE) -> dict[str, str]:
    return {step.step: step.does for step in skips.steps(ASL, image, said)}


def reuse(model: bool = False, **jobs: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"model": {"reuse": model, "route": "deploy" if model else "", "why": "because"}}
    return found | {name: {"reuse": value, "why": f"{name}!"} for name, value in jobs.items()}


def test_nothing_new_skips_all() -> None:
    said = does(Forecast({**NEW, "new": False, "reason": "already trained on"}))
    assert said.pop("data") == "run"
    assert set(said.values()) == {"skip"}


def test_what_was_made_is_skipped_with_the_functions_own_reason() -> None:
    said = Forecast(NEW, reuse(training=True, evaluation=False))
    steps = {step.step: step for step in skips.steps(ASL, IMAGE, said)}
    assert (steps["Train"].does, steps["Train"].why) == ("skip", "training!")
    assert (steps["Evaluate"].does, steps["Evaluate"].why) == ("run", "evaluation!")
    assert steps["model"].does == "run"


def test_a_model_that_was_approved_goes_straight_to_deployment() -> None:
    said = does(Forecast(NEW, reuse(True, training=True, evaluation=True)))
    assert {said[name] for name in ("Train", "Evaluate", "model", "approval")} == {"skip"}
    assert said["deploy"] == "run"


def test_a_new_image_makes_everything_anew() -> None:
    new = ImageAction("ml/iris", "src-2", how="build", why="not in the registry")
    said = does(Forecast(NEW), new)
    assert {said[name] for name in ("image", "Train", "Evaluate", "model", "deploy")} == {"run"}


def test_who_was_not_asked_is_unknown_and_says_why() -> None:
    steps = skips.steps(ASL, IMAGE, Forecast(why_not="no rights"))
    assert {s.does for s in steps if s.step != "image"} == {"unknown"}
    assert {s.why for s in steps if s.step != "image"} == {"no rights"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"train": True, "evaluate": False, "gate": False},
            {"Train": "run", "Evaluate": "run", "model": "run"},
        ),
        (
            {"train": False, "evaluate": True, "gate": False},
            {"Train": "depends", "Evaluate": "run", "model": "run"},
        ),
        (
            {"train": False, "evaluate": False, "gate": True},
            {"Train": "depends", "Evaluate": "depends", "model": "run"},
        ),
        ({"train": False, "evaluate": False, "gate": False}, {"Train": "depends", "model": "depends"}),
    ],
)
def test_two_templates_alone_tell_what_is_made_anew(
    changed: dict[str, bool], expected: dict[str, str]
) -> None:
    said = does(Forecast(recipes=changed))
    assert {name: said[name] for name in expected} == expected


def test_recipes_are_read_from_the_functions_environment() -> None:
    then = {"steps": [{"name": "train", "recipe": "1"}, {"name": "evaluate", "recipe": "2"}], "gate": "g"}
    now = {"steps": [{"name": "train", "recipe": "1"}, {"name": "evaluate", "recipe": "3"}], "gate": "g"}
    assert skips.recipes(then, now) == {"train": False, "evaluate": True, "gate": False}
    assert set(skips.recipes(None, now).values()) == {True}


def test_a_function_asked_here_sees_only_its_own_world_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []

    class Fake:
        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return lambda **_: {"read": name}

    clients = Clients(Target("aws", None, "eu-west-1", "111111111111"), None)
    clients.__dict__["s3"] = Fake()
    monkeypatch.setenv("BUCKET", "the shell's")
    module = functions.load(REPOSITORY, "check_data", {"BUCKET": "planned"}, clients)
    assert module.os.environ == {"BUCKET": "planned"}
    s3 = module.client("s3")
    assert s3.get_object(Bucket="b")["read"] == "get_object"
    assert s3.put_object(Bucket="b") == {}
    assert s3.delete_object(Bucket="b") == {}
    assert calls == ["get_object"]


def test_what_only_the_function_may_read_is_not_taken_for_its_answer() -> None:
    class Refusing:
        def head_object(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject")

    clients = Clients(Target("aws", None, "eu-west-1", "111111111111"), None)
    clients.__dict__["s3"] = Refusing()
    module = functions.load(REPOSITORY, "find_reusable", {}, clients)
    with pytest.raises(PermissionError, match=r"head_object model\.tar\.gz: not allowed"):
        functions.Reading(clients.s3).head_object(Bucket="b", Key="model.tar.gz")
    package = {
        "InferenceSpecification": {
            "Containers": [{"Image": IMAGE_URI, "ModelDataUrl": "s3://b/model.tar.gz"}]
        }
    }
    # The function itself takes a refusal for an artifact that is not its own; asked here it must not.
    module.os.environ["IMAGE_URI"] = IMAGE_URI
    with pytest.raises(PermissionError):
        module.check_whole(package)


@pytest.mark.parametrize(
    "folder", sorted(p.parent.name for p in (REPOSITORY / "pipeline/lambdas").glob("*/handler.py"))
)
def test_every_function_can_be_loaded_and_leaves_no_trace(folder: str) -> None:
    import sys

    before = set(sys.modules)
    clients = Clients(Target("aws", None, "eu-west-1", "111111111111"), None)
    assert callable(functions.load(REPOSITORY, folder, {}, clients).handler)
    assert not [name for name in set(sys.modules) - before if name.startswith("_plan_")]


def test_a_function_that_is_not_there_is_told(tmp_path: Path) -> None:
    clients = Clients(Target("aws", None, "eu-west-1", "111111111111"), None)
    with pytest.raises(FileNotFoundError, match="no handler"):
        functions.load(tmp_path, "check_data", {}, clients)
