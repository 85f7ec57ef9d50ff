"""A small repository with workflows of its own, and a local remote that it is pushed to."""

from __future__ import annotations

import os
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.local import down
from pipeline.local.forge import setup
from pipeline.local.forge.home import Home
from pipeline.local.forge.places import Places, read

IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


@dataclass
class Forge:
    """The user's repository and the remote `local`."""

    root: Path

    @property
    def home(self) -> Home:
        return Home.of(self.root)

    def git(self, *arguments: str, code: int | None = 0) -> str:
        """Output of a git command in the repository, stdout and stderr."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env={**os.environ, **IDENTITY},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said = done.stdout + done.stderr
        assert code is None or done.returncode == code, said
        return said

    def commit(self, files: dict[str, str], message: str = "change") -> str:
        """Write files (workflows by their bare names) and commit them; the commit's id."""
        for name, text in files.items():
            path = self.root / (f".github/workflows/{name}" if name.endswith(".yml") else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def push(self, *arguments: str, code: int | None = 0) -> str:
        """`git push local ...`, with all that comes back to the terminal."""
        return self.git("push", "local", *arguments, code=code)

    def runs(self, name: str = "") -> list[dict[str, Any]]:
        """Workflow runs, oldest first."""
        return [run for run in self.home.store.all("runs") if name in ("", run["name"])]

    def wait(self, until: Callable[[], Any], seconds: float = 30) -> Any:
        """What `until` gives once it gives something."""
        deadline = time.monotonic() + seconds
        while not (found := until()):
            assert time.monotonic() < deadline, self.deliveries()
            time.sleep(0.1)
        return found

    def deliveries(self) -> str:
        """All deliveries' logs, for a failure's message."""
        return "\n".join(p.read_text() for p in sorted(self.home.places.deliveries.glob("*/log.txt")))

    def settled(self) -> None:
        """Wait until all deliveries are done."""
        folders = self.home.places.deliveries.iterdir()
        for folder in list(folders):
            self.wait(lambda folder=folder: read(folder / "done.json"))  # type: ignore[misc]


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    root = tmp_path / "repository"
    root.mkdir()
    made = Forge(root)
    made.git("init", "-q", "-b", "main")
    (root / ".gitignore").write_text(".pipeline/\n")
    setup.make(Places.of(root), "acme/shop", "main", ["production"], protected=False)
    yield made
    for run in made.runs():
        if run["status"] != "completed":
            (made.home.places.runs / str(run["id"]) / "cancel").touch()
    made.settled()
    down(root)
