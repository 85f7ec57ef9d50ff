"""The folder that one run's jobs are copied from: a commit, with what git and the bootstrap need."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from pipeline.local.forge import git
from pipeline.local.forge.events import Repository

# What scripts/bootstrap makes .venv from, in its order.
_LOCKED = ("requirements.lock", "pyproject.toml", "scripts/bootstrap")


def make(repository: Repository, commit: str, folder: Path) -> None:
    """Check `commit` out into `folder`, with the whole history and all branches as origin's.

    Objects are borrowed from the bare repository. `.venv` is this process's own environment where the commit
    locks the very same packages; where it does not, the job's own bootstrap makes one.
    """
    git.git(folder.parent, "clone", "-q", "--shared", "--no-checkout", str(repository.path), folder.name)
    git.git(folder, "checkout", "-q", "--detach", commit)
    # act and the jobs take the repository's name from here.
    git.git(folder, "remote", "set-url", "origin", f"https://github.com/{repository.full_name}.git")
    venv = Path(sys.prefix)
    locked = venv / ".locked"
    if locked.is_file() and locked.read_text(encoding="utf-8").strip() == fingerprint(folder):
        (folder / ".venv").symlink_to(venv)
        exclude = folder / ".git" / "info" / "exclude"
        exclude.parent.mkdir(exist_ok=True)
        with exclude.open("a", encoding="utf-8") as file:
            # .gitignore says `.venv/`, which a link is not.
            file.write("/.venv\n")


def fingerprint(folder: Path) -> str:
    """What scripts/bootstrap writes into `.venv/.locked`."""
    digest = hashlib.sha256()
    for name in _LOCKED:
        path = folder / name
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def remove(folder: Path) -> None:
    """Take it away; the environment it leads to stays."""
    (folder / ".venv").unlink(missing_ok=True) if (folder / ".venv").is_symlink() else None
    shutil.rmtree(folder, ignore_errors=True)
