"""What git knows of two commits: which files differ, and how a file looked."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pipeline.errors import SettingsError

TIMEOUT_SECONDS = 60


def exists(root: Path, sha: str) -> bool:
    """Whether the clone holds this commit."""
    return _try(root, "cat-file", "-e", f"{sha}^{{commit}}") is not None


def shallow(root: Path) -> bool:
    """Whether history was cut off when this was cloned."""
    return (_try(root, "rev-parse", "--is-shallow-repository") or "").strip() == "true"


def merge_base(root: Path, one: str, other: str) -> str:
    """The commit both came from; empty when they share none (or the clone does not reach it)."""
    return (_try(root, "merge-base", one, other) or "").strip()


def changed(root: Path, base: str, head: str) -> tuple[str, ...]:
    """Paths that differ, sorted; of a rename both names, so that either room is concerned."""
    told = _run(root, "diff", "--name-only", "--no-renames", "-z", base, head)
    return tuple(sorted(path for path in told.split("\0") if path))


def show(root: Path, sha: str, path: str) -> str | None:
    """A file's text at a commit; None if there was none."""
    return _try(root, "show", f"{sha}:{path}")


def commits(root: Path, base: str, head: str, limit: int = 250) -> tuple[str, ...]:
    """Commits of base..head, newest first, merges included."""
    told = _run(root, "rev-list", f"--max-count={limit}", f"{base}..{head}" if base else head)
    return tuple(told.split())


def _try(root: Path, *arguments: str) -> str | None:
    done = _call(root, *arguments)
    return done.stdout if done.returncode == 0 else None


def _run(root: Path, *arguments: str) -> str:
    done = _call(root, *arguments)
    if done.returncode:
        raise SettingsError(
            f"git {arguments[0]} failed: {done.stderr.strip() or f'exit code {done.returncode}'}",
            where=str(root),
        )
    return done.stdout


def _call(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except FileNotFoundError as error:
        raise SettingsError("git is not installed", hint="apt-get install git") from error
    except subprocess.TimeoutExpired as error:
        raise SettingsError(
            f"git {arguments[0]} took more than {TIMEOUT_SECONDS} s", where=str(root)
        ) from error
