"""The hosts of a training job: each with folders, configuration and data of its own, known by name to all.

All of them are programs of this machine. Each has an address of its own in 127.0.0.0/8, by which the others
find it under its name (`algo-2`), as on AWS; the runner sees to that in /etc/hosts. docs/decisions/0036
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.local.runner import current as current_runner
from pipeline.local.sagemaker import training_job_contract as contract
from pipeline.local.sagemaker.errors import NotSupported
from pipeline.local.sagemaker.jobs.pipes import PipeFeeder
from pipeline.local.sagemaker.jobs.transfer import FolderSync

# More would each get less than a part of this machine's processors.
MOST = 8


def check(count: int) -> None:
    """Raise NotSupported for more hosts than this machine can be."""
    if count > MOST:
        raise NotSupported(f"ResourceConfig.InstanceCount greater than {MOST} (one machine stands for all)")
    if count > 1 and not current_runner().can_name_hosts():
        raise NotSupported(
            "ResourceConfig.InstanceCount greater than 1 on this machine, whose kernel gives no mount "
            "namespaces: the hosts could not find each other by name,"
        )


def addresses(count: int) -> dict[str, str]:
    """Address of each host by its name; none of a host that is alone."""
    names = contract.hosts(count)
    return {name: f"127.0.1.{number}" for number, name in enumerate(names, start=1)} if count > 1 else {}


@dataclass
class Host:
    """One host.

    Args:
        folder: its own; what its program sees as /opt/ml is `ml` in it.
        count: how many hosts the job has.
    """

    name: str
    index: int
    count: int
    folder: Path
    read_only: dict[str, Path] = field(default_factory=dict)
    feeders: list[PipeFeeder] = field(default_factory=list)
    checkpoints: FolderSync | None = None

    @property
    def base(self) -> Path:
        return self.folder / "ml"

    @property
    def data(self) -> Path:
        """One folder a channel."""
        return self.base / "input" / "data"

    def lay_out(self, request: dict[str, Any]) -> None:
        """The folders and configuration files a container finds."""
        for name in ("input/config", "input/data", "model", "output/data"):
            (self.base / name).mkdir(parents=True)
        kind = request["ResourceConfig"]["InstanceType"]
        files: dict[str, Any] = {
            "hyperparameters": contract.hyperparameters(request),
            "inputdataconfig": contract.input_data_config(request),
            "resourceconfig": contract.resource_config(kind, self.count, self.name),
        }
        if request.get("DebugHookConfig"):
            files["debughookconfig"] = request["DebugHookConfig"]
        for name, content in files.items():
            path = self.base / "input" / "config" / f"{name}.json"
            path.write_text(json.dumps(content), encoding="utf-8")

    def close(self) -> None:
        """The host is given back: nothing more is fed to its program, and nothing stored."""
        if self.checkpoints:
            self.checkpoints.abandon()
        for feeder in self.feeders:
            feeder.close()


def of(folder: Path, count: int) -> list[Host]:
    """The hosts of a job whose folder this is."""
    return [Host(name, number, count, folder / name) for number, name in enumerate(contract.hosts(count))]


def gathered(hosts: Sequence[Host], relative: str, say: Callable[[str], None]) -> Path:
    """A folder with what all hosts left in theirs, for one archive of all, as on AWS.

    AWS asks that no two hosts write one name and does not say what happens then; here the first host's stays,
    and `say` is told.
    """
    folder = hosts[0].base / relative
    for host in hosts[1:]:
        theirs = host.base / relative
        for path in sorted(theirs.rglob("*")):
            place = folder / path.relative_to(theirs)
            if path.is_dir() and not path.is_symlink():
                place.mkdir(parents=True, exist_ok=True)
            elif not place.exists():
                shutil.move(path, place)
            elif path.read_bytes() != place.read_bytes():
                name = f"{relative}/{path.relative_to(theirs)}"
                say(f"{name} of {host.name} is dropped: {hosts[0].name} wrote one; on AWS either may stay")
    return folder
