"""A commit's content in a folder of its own, so that the working tree is neither needed nor touched."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.git import ask

# The owner's process id follows: what a killed one left is removed by the next.
PREFIX = "pipeline-content-"
TIMEOUT_SECONDS = 600
# Bytes as they were committed: the image's tag is a hash over them.
_AS_COMMITTED = ("-c", "core.autocrlf=false", "-c", "core.symlinks=true", "-c", "core.fileMode=true")


@contextmanager
def checked_out(root: Path, commit: str) -> Iterator[Path]:
    """The repository at `root` as of `commit`, in a temporary clone that shares its objects.

    A clone and not `git worktree`: nothing is noted in the repository itself, so a kill leaves nothing there.

    Raises:
        SettingsError: git cannot make it.
    """
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    try:
        copy = folder / "repository"
        # Local objects are borrowed, not copied; what `.git/hooks` or templates hold does not run.
        top = _git(root, "rev-parse", "--show-toplevel")
        _git(root, "clone", "--quiet", "--shared", "--no-checkout", "--template=", top, str(copy))
        _git(copy, *_AS_COMMITTED, "checkout", "--quiet", "--detach", commit)
        yield copy / _git(root, "rev-parse", "--show-prefix")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not _lives(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def same(root: Path, one: str, other: str, paths: list[str]) -> bool | None:
    """Whether two commits hold the same under `paths`; None when one of them is not in this clone."""
    for commit in (one, other):
        if ask(root, "cat-file", "-e", f"{commit}^{{commit}}")[0]:
            return None
    return ask(root, "diff", "--quiet", one, other, "--", *paths)[0] == 0


def changed(root: Path, one: str, other: str, paths: list[str]) -> list[str]:
    """The files under `paths` that differ between two commits."""
    return ask(root, "diff", "--name-only", one, other, "--", *paths)[1].splitlines()


def last_change(root: Path, commit: str, paths: list[str]) -> str:
    """The last commit up to `commit` that touched `paths`; empty without one."""
    return ask(root, "log", "-1", "--format=%H", commit, "--", *paths)[1]


def _git(root: Path, *arguments: str) -> str:
    code, out, why = ask(root, *arguments, timeout=TIMEOUT_SECONDS)
    if code:
        raise SettingsError(f"git {arguments[0]}: {why or f'exit code {code}'}", where=str(root))
    return out
