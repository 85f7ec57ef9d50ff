"""The parts of the container test that need no program: clauses, folders, what it is tested with."""

from __future__ import annotations

import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.conformance import (
    Clause,
    Given,
    Request,
    Result,
    Subject,
    clauses,
    contract_page,
    failed,
    of_pipeline,
    with_given,
)
from pipeline.conformance.folders import contents, differences, through_archive, unpackable
from pipeline.errors import SettingsError
from pipeline.settings.model import Smoke


def test_every_clause_says_what_it_is_where_it_comes_from_and_how_to_mend_it() -> None:
    known = clauses()
    assert len({each.statement for each in known}) == len(known) >= 30
    for each in known:
        assert each.page.startswith("https://docs.aws.amazon.com/sagemaker/latest/"), each.id
        assert len(each.fix) > 20, each.id
        assert f"| {each.id} | {each.statement} |" in contract_page()
        assert "|" not in each.fix + each.statement, f"{each.id} would break the table of its page"


def test_a_should_counts_only_when_strict() -> None:
    def result(severity: str, status: str) -> Result:
        return Result(Clause("CT000", "", severity, "", "", lambda _: ""), status, "")  # type: ignore[arg-type]

    assert not failed(
        [result("must", "passed"), result("should", "failed"), result("must", "skipped")], strict=False
    )
    assert failed([result("should", "failed")], strict=True)
    assert failed([result("must", "failed")], strict=False)


def test_what_does_not_survive_an_archive_is_named(tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "parts").mkdir(parents=True)
    (model / "parts" / "a").write_text("a")
    (model / "good").symlink_to("parts/a")
    assert unpackable(model) == []
    (model / "absolute").symlink_to(model / "parts" / "a")
    (model / "up").symlink_to("../elsewhere")
    (model / "nowhere").symlink_to("parts/b")
    assert [entry.split(" ")[0] for entry in unpackable(model)] == ["absolute", "nowhere", "up"]
    with pytest.raises(tarfile.TarError):
        through_archive(model, tmp_path / "model.tar.gz", tmp_path / "out")


def test_a_model_comes_out_of_its_archive_as_it_went_in(tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "parts").mkdir(parents=True)
    (model / "parts" / "a").write_bytes(b"\x00\xff")
    through_archive(model, tmp_path / "model.tar.gz", tmp_path / "out")
    before = contents(model)
    assert contents(tmp_path / "out") == before
    (model / "parts" / "a").write_bytes(b"\x01")
    (model / "b").touch()
    assert differences(before, contents(model)) == ["b", "parts/a"]


def settings() -> SimpleNamespace:
    channel = {"content_type": "text/csv", "made_by": None}
    pipeline = SimpleNamespace(
        hyperparameters={"rounds": 3, "rate": 0.1, "quiet": True},
        data=SimpleNamespace(
            channels={
                "train": SimpleNamespace(use="train", **channel),
                "test": SimpleNamespace(use="evaluate", **channel),
            }
        ),
        smoke=Smoke(body="1,2", content_type="text/csv", accept="application/json"),
    )
    return SimpleNamespace(name="churn", pipeline=pipeline)


def test_a_pipeline_gives_its_training_channels_strings_and_smoke_request(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no sample of channel 'train'"):
        of_pipeline(settings(), lambda: tmp_path)
    (tmp_path / "train").mkdir()
    subject = of_pipeline(settings(), lambda: tmp_path)
    assert set(subject.channels) == {"train"}
    assert subject.hyperparameters == {"rounds": "3", "rate": "0.1", "quiet": "true"}
    assert subject.request == Request(b"1,2", "text/csv", "application/json")


def test_what_is_given_by_hand_wins(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "mine").mkdir()
    own = of_pipeline(settings(), lambda: tmp_path)
    given = Given(channels=[f"train={tmp_path / 'mine'}"], hyperparameters=["rounds=9"], accept="text/csv")
    subject = with_given(own, given, tmp_path)
    assert subject.channels["train"].folder == tmp_path / "mine"
    assert subject.channels["train"].content_type == "text/csv"
    assert subject.hyperparameters["rounds"] == "9"
    assert subject.request == Request(b"1,2", "text/csv", "text/csv")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (Given(channels=["train"]), "NAME=VALUE"),
        (Given(channels=["train=/no/such/folder"]), "is no folder"),
        (Given(request=Path("/no/such/file"), content_type="text/csv"), "No such file"),
        (Given(request=Path(__file__)), "needs its type"),
        (Given(model=Path(__file__)), "neither a folder nor a model.tar.gz"),
    ],
)
def test_what_is_given_badly_is_refused(given: Given, says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=says):
        with_given(Subject("x"), given, tmp_path)
