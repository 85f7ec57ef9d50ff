"""The folder that one run's jobs are copied from: a commit, with what git and the bootstrap need."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline import caches
from pipeline.errors import SettingsError
from pipeline.git import environment as git_environment
from pipeline.local.forge import git
from pipeline.local.forge.events import Repository

# What scripts/bootstrap makes .venv from, in its order.
_LOCKED = ("requirements.lock", "pyproject.toml", "scripts/bootstrap")


def make(repository: Repository, commit: str, folder: Path) -> None:
    """Check `commit` out into `folder`, with the whole history and all branches as origin's.

    Objects are borrowed from the bare repository; `.venv` leads to an environment of what the commit locks.
    """
    git.git(folder.parent, "clone", "-q", "--shared", "--no-checkout", str(repository.path), folder.name)
    git.git(folder, "checkout", "-q", "--detach", commit)
    # act and the jobs take the repository's name from here.
    git.git(folder, "remote", "set-url", "origin", f"https://github.com/{repository.full_name}.git")
    venv = environment(folder)
    (folder / ".venv").symlink_to(venv)
    exclude = folder / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    with exclude.open("a", encoding="utf-8") as file:
        # .gitignore says `.venv/`, which a link is not.
        file.write("/.venv\n")


def environment(folder: Path) -> Path:
    """A venv of exactly what the checkout locks: this process's own, else one in the user's cache.

    The one in the cache is made by the checkout's own bootstrap, once for all runs; each job's bootstrap then
    finds that nothing is to be done.

    Raises:
        SettingsError: the bootstrap failed.
    """
    wanted = fingerprint(folder)
    if _is(Path(sys.prefix), wanted) or not (folder / "scripts" / "bootstrap").is_file():
        return Path(sys.prefix)
    venv = caches.folder("venvs") / wanted[:24]
    venv.mkdir(parents=True, exist_ok=True)
    with (venv.parent / f"{venv.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not _is(venv, wanted):
            # Python makes no environment behind a link; the bootstrap fills the one that it finds.
            _run([sys.executable, "-m", "venv", "--clear", str(venv)], folder)
            link = folder / ".venv"
            link.symlink_to(venv)
            try:
                _run(["scripts/bootstrap"], folder)
            finally:
                link.unlink()
    return venv


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=git_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-8:])
        raise SettingsError(f"{' '.join(command)} ended with {done.returncode}: {tail}")


def _is(venv: Path, wanted: str) -> bool:
    locked = venv / ".locked"
    return locked.is_file() and locked.read_text(encoding="utf-8").strip() == wanted


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
