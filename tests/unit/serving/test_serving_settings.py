"""The environment's variables, and workers and threads that follow from the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from serving import machine
from serving.errors import SettingsError
from serving.settings import THREAD_VARIABLES, Settings


@pytest.fixture
def model(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "model").mkdir()
    return {"SAGEMAKER_BASE_DIR": str(tmp_path)}


def test_defaults_are_sagemakers(model: dict[str, str]) -> None:
    settings = Settings.read(model)
    assert (settings.host, settings.port, settings.max_body) == ("0.0.0.0", 8080, 6_291_456)
    assert (settings.program, settings.default_accept, settings.timeout) == (
        "inference.py",
        "application/json",
        60,
    )
    assert settings.grace < 30 and settings.batch_requests == 0


@pytest.mark.parametrize(
    ("cores", "given", "expected"),
    [
        (8, {}, (8, 1)),
        (8, {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"}, (2, 4)),
        (8, {"SAGEMAKER_MODEL_SERVER_WORKERS": "3"}, (3, 2)),
        (8, {"OMP_NUM_THREADS": "4"}, (2, 4)),
        (2, {"SAGEMAKER_MODEL_SERVER_WORKERS": "4"}, (4, 1)),
        (1, {}, (1, 1)),
        (8, {"SM_NUM_CPUS": "3"}, (3, 1)),
    ],
)
def test_workers_times_threads_stay_within_the_processors(
    model: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    given: dict[str, str],
    expected: tuple[int, int],
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
    monkeypatch.setattr(machine, "memory", lambda: 1 << 40)
    monkeypatch.setattr(machine, "_quota", lambda _cgroup: (0, 0))
    settings = Settings.read(model | given)
    assert (settings.workers, settings.threads) == expected
    assert set(settings.thread_variables({"OMP_NUM_THREADS": "1"})) == set(THREAD_VARIABLES[1:])


def test_a_model_that_fills_the_memory_gets_fewer_workers(
    model: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "_quota", lambda _cgroup: (0, 0))
    monkeypatch.setattr(machine, "memory", lambda: 1 << 30)
    monkeypatch.setattr(machine, "size_of", lambda _folder: 100 << 20)
    assert Settings.read(model).workers == 2
    monkeypatch.setattr(machine, "size_of", lambda _folder: 10 << 30)
    assert Settings.read(model).workers == 1


def test_control_groups_limit_processors_and_memory(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text("1000\n")
    assert machine.processors({}, tmp_path) == 1
    assert machine.memory(tmp_path) == 1000
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.processors({"SM_NUM_CPUS": "1"}, tmp_path) == 1
    assert machine.memory(tmp_path, tmp_path / "none") is None
    older = tmp_path / "older"
    (older / "cpu").mkdir(parents=True)
    (older / "cpu" / "cpu.cfs_quota_us").write_text("50000")
    (older / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert machine.processors({}, older) == 1


def test_batch_transforms_limit_goes_before_ours(model: dict[str, str]) -> None:
    given = {
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "20",
        "MAX_REQUEST_BYTES": "5",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "9",
    }
    settings = Settings.read(model | given)
    assert settings.max_body == 20 * 1024 * 1024
    assert json.dumps(settings.execution_parameters()) == (
        '{"MaxConcurrentTransforms": 5, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 20}'
    )


def test_all_that_is_wrong_is_told_at_once(model: dict[str, str]) -> None:
    wrong = {
        "SAGEMAKER_BIND_TO_PORT": "70000",
        "SAGEMAKER_SAFE_PORT_RANGE": "10-5",
        "SERVING_HEAD_SECONDS": "nan",
        "SERVING_GRACE_SECONDS": "-1",
        "SERVING_ACCESS_LOG": "some",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "\u0663",
    }
    with pytest.raises(SettingsError) as told:
        Settings.read(model | wrong)
    lines = str(told.value).splitlines()
    assert {line.partition("=")[0] for line in lines} == set(wrong)


def test_the_granted_ports_are_known(model: dict[str, str]) -> None:
    assert Settings.read(model | {"SAGEMAKER_SAFE_PORT_RANGE": "10-12"}).safe_ports == range(10, 13)
