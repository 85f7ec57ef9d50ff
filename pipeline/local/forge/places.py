"""Where the local remote keeps what it knows: everything is under `<root>/.pipeline/remote/`."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Places:
    """The files of one repository's local remote. `root` is the user's repository, absolute."""

    root: Path

    @classmethod
    def of(cls, root: Path) -> Places:
        return cls(Path(root).resolve())

    @property
    def folder(self) -> Path:
        return self.root / ".pipeline" / "remote"

    @property
    def repository(self) -> Path:
        """The bare repository that is pushed to."""
        return self.folder / "repository.git"

    @property
    def settings(self) -> Path:
        """JSON: the name on the forge, whether main is protected."""
        return self.folder / "remote.json"

    @property
    def runs(self) -> Path:
        """One folder a workflow run: its log, its event, its workflow as act got it."""
        return self.folder / "runs"

    @property
    def deliveries(self) -> Path:
        """One folder an event: event.json, log.txt, and done.json once all its runs have ended."""
        return self.folder / "deliveries"

    @property
    def groups(self) -> Path:
        """The locks of concurrency groups."""
        return self.folder / "groups"

    @property
    def approvals(self) -> Path:
        """One JSON file a decision about a job that waits for a reviewer."""
        return self.folder / "approvals"

    @property
    def api(self) -> Path:
        """What the forge keeps beside git (github_store.py): pull requests, comments, runs, artifacts."""
        return self.folder / "api"

    @property
    def cache(self) -> Path:
        """act's working folders; emptied after each run."""
        return self.folder / "act"

    def make(self) -> None:
        """Create the folders, readable by their owner only."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        for folder in (self.runs, self.deliveries, self.groups, self.approvals, self.api):
            folder.mkdir(exist_ok=True)


def write(path: Path, data: Any) -> None:
    """`data` as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(data, stream, indent=1, sort_keys=True)
    Path(name).replace(path)


def read(path: Path) -> Any:
    """The JSON in `path`; None when there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def next_number(folder: Path) -> int:
    """A number nobody else has: claimed by making the folder of that name."""
    folder.mkdir(parents=True, exist_ok=True)
    number = max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0) + 1
    while True:
        try:
            (folder / str(number)).mkdir()
        except FileExistsError:
            number += 1
        else:
            return number
