"""Training runs as SageMaker starts them: /opt/ml laid out, `train` run to its end, and what it left."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.conformance import folders
from pipeline.conformance.launching import Launch, Launcher
from pipeline.conformance.model import Skip
from pipeline.conformance.subject import Subject, Waits

# A CreateTrainingJob request -> the files of /opt/ml/input/config (name -> content) and the variables.
Configure = Callable[[Mapping[str, Any]], tuple[Mapping[str, Any], Mapping[str, str]]]

TRAIN = ("train",)
# What SageMaker makes of /opt/ml for a job; all a program leaves elsewhere in it is lost.
KEPT = ("model/", "output/", "checkpoints/")


@dataclass(frozen=True)
class TrainingRun:
    """One run of `train`.

    Args:
        base: what was /opt/ml.
        exit_code: None when it was ended at the time limit.
        refused: why it could not be executed; empty when it was.
        lines: what it printed.
        network: whether it had one.
        strings: whether hyperparameters.json held strings, as on SageMaker.
        touched: paths below /opt/ml that it made or changed, and that SageMaker does not keep.
        outside: the same for files outside /opt/ml; None where that cannot be seen.
    """

    base: Path
    exit_code: int | None
    refused: str
    lines: tuple[str, ...]
    network: bool
    strings: bool
    touched: tuple[str, ...]
    outside: tuple[str, ...] | None

    @property
    def ended(self) -> str:
        """How it ended, with its last words."""
        how = "was still running at the time limit" if self.exit_code is None else f"exited {self.exit_code}"
        last = next((line.strip() for line in reversed(self.lines) if line.strip()), "")
        return f"`train` {how}" + (f", last saying: {last[:200]}" if last else " without a word")


def train(
    launcher: Launcher,
    configure: Configure,
    subject: Subject,
    waits: Waits,
    base: Path,
    *,
    network: bool,
    first: bool,
    strings: bool = True,
    broken: bool = False,
) -> TrainingRun:
    """Lay /opt/ml out in `base`, run `train`, and say what happened."""
    variables = _lay_out(configure, subject, base, strings=strings, broken=broken)
    before = folders.contents(base)
    lines: list[str] = []
    process = launcher.start(Launch(TRAIN, base, variables, network=network, first=first), lines.append)
    try:
        code = process.wait(waits.train)
        refused = process.refused
        if process.unable:
            raise Skip(f"this machine cannot start a program so: {process.unable}")
        outside = process.changed() if code is not None else None
    finally:
        process.close()
    changed = folders.differences(before, folders.contents(base))
    return TrainingRun(
        base=base,
        exit_code=code,
        refused=refused,
        lines=tuple(lines),
        network=network,
        strings=strings,
        touched=tuple(path for path in changed if not path.startswith(KEPT)),
        outside=None if outside is None else tuple(outside),
    )


def _lay_out(
    configure: Configure, subject: Subject, base: Path, *, strings: bool, broken: bool
) -> Mapping[str, str]:
    for name in ("input/config", "input/data", "model", "output/data"):
        (base / name).mkdir(parents=True)
    files, variables = configure(
        {
            "TrainingJobName": "conformance-test",
            "AlgorithmSpecification": {"TrainingInputMode": "File"},
            "HyperParameters": dict(subject.hyperparameters),
            "InputDataConfig": [
                {
                    "ChannelName": name,
                    "DataSource": {"S3DataSource": {}},
                    **({"ContentType": channel.content_type} if channel.content_type else {}),
                }
                for name, channel in subject.channels.items()
            ],
            "Environment": dict(subject.environment),
        }
    )
    for name, content in files.items():
        if name == "hyperparameters" and not strings:
            content = {key: _typed(value) for key, value in content.items()}
        path = base / "input" / "config" / f"{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
    folders.lay_channels(subject.channels, base / "input" / "data", broken=broken)
    return variables


def _typed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
