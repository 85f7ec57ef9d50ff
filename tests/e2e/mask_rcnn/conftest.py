"""The sample of mask_rcnn, and instances that run the container's programs as SageMaker does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.execution import sample as samples
from pipeline.image import context_files
from tests.e2e.venvs import ROOT, bin_of

CONTAINER = ROOT / "container" / "mask_rcnn"


@pytest.fixture(scope="session")
def programs() -> Path:
    """The bin folder of a venv with exactly what the container's lock says."""
    return bin_of(CONTAINER / "requirements.lock")


@pytest.fixture(scope="session")
def sample() -> Path:
    """train and test, fetched and cut once into the user's cache."""
    return samples.folder(SimpleNamespace(root=ROOT, name="mask_rcnn"), print)  # type: ignore[arg-type]


def part_of(sample: Path, channel: str, folder: Path, tiles: int) -> Path:
    """The channel's first tiles, spread over the image, as a channel of their own."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    images = sorted((sample / channel / "images").iterdir())
    for image in images[:: max(1, len(images) // tiles)][:tiles]:
        shutil.copy2(image, folder / "images")
        shutil.copy2(sample / channel / "masks" / image.name, folder / "masks")
    shutil.copy2(sample / channel / "classes.json", folder)
    return folder


class Machine:
    """One instance as SageMaker sets it up: /opt/ml is a folder of its own."""

    def __init__(self, base: Path, programs: Path) -> None:
        self.base, self.programs = base, programs
        self.image = base.parent / f"program-{base.name}"
        for relative, path in context_files(CONTAINER).items():
            (self.image / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, self.image / relative)
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "SAGEMAKER_BASE_DIR": str(base),
            "SM_NUM_CPUS": "1",
        }
        self.hyperparameters: dict[str, str] = {}
        self.resources: dict[str, Any] = {}

    def start(self, program: str, **environment: str) -> subprocess.Popen[str]:
        config = self.base / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        (config / "hyperparameters.json").write_text(json.dumps(self.hyperparameters))
        if self.resources:
            (config / "resourceconfig.json").write_text(json.dumps(self.resources))
        return subprocess.Popen(
            [str(self.image / program)],
            cwd=self.base,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, program: str, code: int = 0) -> str:
        process = self.start(program)
        out, _ = process.communicate(timeout=280)
        assert process.returncode == code, out
        return out

    def pack(self) -> None:
        """What SageMaker does between training and processing: /opt/ml/model becomes model.tar.gz."""
        folder = self.base / "processing" / "model"
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
            for path in sorted((self.base / "model").iterdir()):
                tar.add(path, path.name)

    def evaluation(self) -> dict[str, Any]:
        return json.loads(self.read("processing/evaluation/evaluation.json"))

    def read(self, name: str) -> str:
        return (self.base / name).read_text()
