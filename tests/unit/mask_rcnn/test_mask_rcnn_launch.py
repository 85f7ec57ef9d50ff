"""How `train` starts itself: in one process, or by torchrun with the hosts of SageMaker's resourceconfig."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from mask_rcnn_program import class_names, launch
from script_mode import Folders, ProgramError

ROOT = Path(__file__).resolve().parents[3]


def folders(base: Path, **resources: object) -> Folders:
    config = base / "input" / "config"
    config.mkdir(parents=True)
    (config / "resourceconfig.json").write_text(json.dumps(resources))
    return Folders(base)


def test_hosts_are_ranked_by_their_numbers(tmp_path: Path) -> None:
    """algo-1 leads, and algo-10 comes after algo-9: every host must find the same order."""
    names = [f"algo-{number}" for number in range(1, 12)]
    found = launch.cluster(folders(tmp_path, hosts=sorted(names), current_host="algo-10"))
    assert found == (names, 9)


def test_without_a_configuration_there_is_one_host(tmp_path: Path) -> None:
    assert launch.cluster(Folders(tmp_path)) == (["algo-1"], 0)


def test_a_host_that_is_none_of_the_cluster_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="current_host algo-3 is none of algo-1, algo-2"):
        launch.cluster(folders(tmp_path, hosts=["algo-1", "algo-2"], current_host="algo-3"))


def test_torchrun_is_told_of_all_hosts_and_meets_at_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINING_JOB_NAME", "nuclei-1")
    words = launch.command(["algo-1", "algo-2", "algo-3"], 2, 4)
    assert words[:3] == [sys.executable, "-m", "torch.distributed.run"]
    assert {"--nnodes=3", "--node-rank=2", "--nproc-per-node=4", "--master-addr=algo-1"} <= set(words)
    # All hosts of a job meet at one port, two jobs of a machine at two.
    assert launch.port("nuclei-1") == launch.port("nuclei-1") != launch.port("nuclei-2")
    assert f"--master-port={launch.port('nuclei-1')}" in words
    assert all(20_000 <= launch.port(f"job-{number}") < 30_000 for number in range(200))


def test_gpus_are_those_that_sagemaker_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SM_NUM_GPUS", "8")
    assert launch.gpus() == 8
    monkeypatch.setenv("SM_NUM_GPUS", "0")
    assert launch.gpus() == 0


def test_classes_that_the_data_does_not_name_are_numbered() -> None:
    assert class_names({"1": "nucleus"}, 3) == ["background", "nucleus", "class 2"]


def test_both_locks_agree_on_all_but_pytorchs_build() -> None:
    """A GPU's image must not serve with another library than the CPU's was tested with."""

    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "container" / "mask_rcnn" / name).read_text()
        found = re.findall(r"^([\w-]+)==([^\s;\\]+)", text, re.MULTILINE)
        return {package: version.partition("+")[0] for package, version in found}

    cpu, gpu = pins("requirements.lock"), pins("requirements-gpu.lock")
    assert {name: gpu[name] for name in cpu} == cpu
    assert all(name.startswith(("cuda-", "nvidia-", "triton")) for name in gpu.keys() - cpu.keys())
