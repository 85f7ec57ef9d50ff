"""EnableNetworkIsolation where a machine cannot cut off a program: run and said, or refused when so asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.local import options
from pipeline.local.runner import mount, registry
from pipeline.local.runner.process import ProcessRunner
from pipeline.local.sagemaker import isolation, model, processing_job_checks, training_job_checks
from pipeline.local.sagemaker.errors import NotSupported

TRAINING = {
    "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
    "EnableNetworkIsolation": True,
}
PROCESSING = {
    "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}},
    "NetworkConfig": {"EnableNetworkIsolation": True},
}
ASKING = {
    "training": lambda: training_job_checks.check(TRAINING),
    "processing": lambda: processing_job_checks.check(PROCESSING),
    "model": lambda: model._refuse({"EnableNetworkIsolation": True}),
}


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessRunner:
    """The runner in use, in the shape of a machine without namespaces."""
    monkeypatch.delenv(options.ISOLATION, raising=False)
    monkeypatch.setattr(registry, "_runner", None)
    monkeypatch.setattr(registry, "_records", None)
    made = ProcessRunner(tmp_path, isolation=mount.MAPPED)
    registry.use(made, tmp_path / "records")
    return made


@pytest.mark.parametrize("kind", ASKING)
def test_by_default_it_runs_all_the_same(runner: ProcessRunner, kind: str) -> None:
    assert not runner.can_isolate_network()
    ASKING[kind]()
    assert isolation.lacking(True)
    assert not isolation.lacking(False)
    assert isolation.described().startswith("NOT enforced")


@pytest.mark.usefixtures("runner")
@pytest.mark.parametrize("kind", ASKING)
def test_enforce_refuses_it_by_name(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(options.ISOLATION, "enforce")
    with pytest.raises(NotSupported, match=r"EnableNetworkIsolation on this machine.*=enforce"):
        ASKING[kind]()
    assert isolation.described().startswith("refused")
    isolation.check(False)


def test_a_machine_that_can_is_told_nothing(runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "can_isolate_network", lambda: True)
    monkeypatch.setenv(options.ISOLATION, "enforce")
    isolation.check(True)
    assert not isolation.lacking(True)
    assert isolation.described() == "enforced"


def test_a_kernel_that_keeps_networks_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mounts may be possible where networks are not: a container without CAP_NET_ADMIN."""
    monkeypatch.setattr(mount, "_works", lambda _kind, network=True: network)
    mount._cuts_networks.cache_clear()
    try:
        assert not mount.cuts_networks(mount.NAMESPACE)
    finally:
        mount._cuts_networks.cache_clear()


def test_options_are_checked_and_the_given_ones_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(options.RUNNER, raising=False)
    monkeypatch.setenv(options.ISOLATION, "enforced")
    with pytest.raises(SettingsError, match="use best-effort or enforce"):
        options.wanted({})
    monkeypatch.setenv(options.ISOLATION, "enforce")
    assert options.wanted({}) == {options.ISOLATION: "enforce"}
    assert options.wanted({options.ISOLATION: "best-effort"}) == {options.ISOLATION: "best-effort"}
    monkeypatch.delenv(options.ISOLATION)
    assert options.wanted({}) == {}
