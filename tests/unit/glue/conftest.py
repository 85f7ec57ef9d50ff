"""Glue without a server, over the stub Spark, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from glue_stubs import Glue, Session, Spark

from pipeline.local.glue import events, job_run, job_run_work, role, spark
from pipeline.local.glue.store import RUN, store
from pipeline.local.sagemaker.jobs import worker


@pytest.fixture
def glue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Glue]:
    """Glue over the stub Spark, in a folder of its own."""
    stub = Spark()
    monkeypatch.setattr(store, "_root", tmp_path / "glue")
    monkeypatch.setattr(store, "_kinds", {})
    monkeypatch.setattr(role, "Session", Session)
    monkeypatch.setattr(Session, "refuses", None)
    monkeypatch.setattr(Session, "logs", {})
    monkeypatch.setattr(spark, "prepare", lambda _: None)
    monkeypatch.setattr(spark, "launch", stub.launch)
    monkeypatch.setattr(job_run_work, "folder", lambda run_id: tmp_path / "work" / run_id)
    monkeypatch.setattr(job_run_work, "_LOOK", 0.005)
    monkeypatch.setattr(job_run, "_QUEUE_SECONDS", 0.01)
    monkeypatch.setattr(events, "emit", lambda run: stub.told.append(events.entry(run)))
    yield Glue(stub)
    worker.stop_all(RUN)
