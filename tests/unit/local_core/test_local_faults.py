"""Faults that wait: struck once each, oldest first, only what they name; kept between processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.cli import _fault
from pipeline.local import faults
from pipeline.local.faults import Fault
from pipeline.local.sagemaker import injected
from pipeline.local.sagemaker.errors import ResourceLimitExceeded
from pipeline.local.sagemaker.jobs.failure import JobFailed


def test_a_fault_strikes_as_often_as_was_said_and_no_more(tmp_path: Path) -> None:
    faults.add(tmp_path, Fault("capacity", "iris-dev", times=2))
    assert [bool(faults.take("capacity", "iris-dev-1", tmp_path)) for _ in range(3)] == [True, True, False]
    assert faults.waiting(tmp_path) == []
    assert not (tmp_path / faults.FILE).exists(), "nothing that waits costs nothing"


def test_it_strikes_only_its_kind_and_the_names_it_is_for(tmp_path: Path) -> None:
    faults.add(tmp_path, Fault("capacity", "iris-dev"))
    faults.add(tmp_path, Fault("image-pull"))
    assert faults.take("capacity", "mnist-dev-1", tmp_path) is None
    assert faults.take("quota", "iris-dev-1", tmp_path) is None
    assert faults.take("image-pull", "mnist-dev-1", tmp_path) == Fault("image-pull")
    assert faults.waiting(tmp_path) == [Fault("capacity", "iris-dev")]
    assert faults.clear(tmp_path) == [Fault("capacity", "iris-dev")]
    assert faults.waiting(tmp_path) == []


def test_one_that_missed_waits_again_and_says_what_it_missed(tmp_path: Path) -> None:
    whole = Fault("spot-loss", "iris-dev", times=2, after=2.0)
    faults.add(tmp_path, whole)
    faults.add(tmp_path, Fault("spot-loss", "mnist-dev"))
    taken = faults.take("spot-loss", "iris-dev-1", tmp_path)
    assert taken is not None
    faults.put_back(taken, "iris-dev-1: it ended after 1.5 s", tmp_path)
    first, second = faults.waiting(tmp_path)
    assert (first.times, first.missed) == (2, "iris-dev-1: it ended after 1.5 s")
    assert second.prefix == "mnist-dev"
    faults.clear(tmp_path)
    faults.add(tmp_path, Fault("spot-loss"))
    once = faults.take("spot-loss", "any", tmp_path)
    assert once is not None
    faults.put_back(once, "any", tmp_path)
    assert faults.waiting(tmp_path) == [Fault("spot-loss", missed="any")]


def test_of_many_that_ask_at_once_each_fault_strikes_one(tmp_path: Path) -> None:
    faults.add(tmp_path, Fault("capacity", times=5))
    with ThreadPoolExecutor(8) as pool:
        struck = list(pool.map(lambda n: faults.take("capacity", str(n), tmp_path), range(40)))
    assert sum(each is not None for each in struck) == 5


def test_every_kind_has_its_place_on_the_command_line_and_in_the_docs() -> None:
    assert list(_fault.KINDS) == list(faults.KINDS)
    page = (Path(__file__).resolve().parents[3] / "docs/how-to/survive-faults.md").read_text()
    for kind in faults.KINDS:
        assert f"| `{kind}` |" in page, f"{kind} is not in the table"
        assert f"  {kind} " in _fault.EPILOG


def test_what_strikes_says_what_aws_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults.context, "state_dir", lambda: tmp_path)
    faults.add(tmp_path, Fault("capacity"))
    faults.add(tmp_path, Fault("image-pull"))
    faults.add(tmp_path, Fault("quota"))
    injected.before_job("job-run", "a Glue run has no instances of SageMaker's")
    # The state machine waits for instances by this very word: pipeline/steps/capacity.py.
    with pytest.raises(JobFailed, match=r"^CapacityError: Unable to provision requested ML compute capacity"):
        injected.before_job("training-job", "a")
    with pytest.raises(JobFailed, match=r"^ClientError: Cannot pull algorithm container"):
        injected.before_job("processing-job", "a")
    injected.before_job("training-job", "a")
    with pytest.raises(ResourceLimitExceeded, match=r"'ml.m5.large for training job usage' is 0 Instances"):
        injected.quota("a", "training job", "ml.m5.large")
    injected.quota("a", "training job", "ml.m5.large")


def test_only_a_job_on_spot_instances_loses_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults.context, "state_dir", lambda: tmp_path)
    faults.add(tmp_path, Fault("spot-loss", after=3))
    faults.add(tmp_path, Fault("no-spot"))
    on_demand = {"TrainingJobName": "a", "EnableManagedSpotTraining": False}
    assert injected.spot(on_demand) is None
    assert not injected.no_spot(on_demand)
    spot = {**on_demand, "EnableManagedSpotTraining": True}
    assert injected.spot(spot) == Fault("spot-loss", after=3)
    assert injected.no_spot(spot)
    assert injected.spot(spot) is None
