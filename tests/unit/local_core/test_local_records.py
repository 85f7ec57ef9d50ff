"""A stack's change of our own services' records: kept up to a mark, taken back beyond it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.local.adapter import records
from pipeline.local.glue.store import Scope as GlueScope
from pipeline.local.glue.store import Store as GlueStore
from pipeline.local.sagemaker.store import Scope, Store

ACCOUNT, REGION = "111122223333", "eu-west-1"


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, GlueStore]:
    made = Store(tmp_path / "sagemaker"), GlueStore(tmp_path / "glue")
    monkeypatch.setattr(records, "_STORES", {"sagemaker": made[0], "glue": made[1]})
    return made


def test_what_no_mark_has_kept_is_taken_back_in_every_service(stores: tuple[Store, GlueStore]) -> None:
    sagemaker, glue = stores
    models, jobs = Scope(ACCOUNT, REGION), GlueScope(ACCOUNT, REGION)
    with sagemaker.undoable(), glue.undoable():
        sagemaker.put(models, "model", "kept", {})
        glue.put(jobs, "job", "kept", {"Timeout": 1})
        mark = records.mark()
        sagemaker.put(models, "model", "lost", {})
        glue.put(jobs, "job", "kept", {"Timeout": 2})
        glue.put(jobs, "job", "lost", {})
    glue.put(jobs, "job", "by-a-client", {})
    records.forget(mark)
    assert records.roll_back() == 3
    again = GlueStore(glue.root())
    assert dict(again.items(jobs, "job")) == {"kept": {"Timeout": 1}, "by-a-client": {}}
    assert dict(Store(sagemaker.root()).items(models, "model")) == {"kept": {}}
    assert records.roll_back() == 0


def test_the_mark_of_an_earlier_version_is_sagemaker_s(stores: tuple[Store, GlueStore]) -> None:
    sagemaker, _ = stores
    with sagemaker.undoable():
        sagemaker.put(Scope(ACCOUNT, REGION), "model", "kept", {})
    records.forget(records.mark()["sagemaker"])
    records.forget(None)
    assert records.roll_back() == 0
