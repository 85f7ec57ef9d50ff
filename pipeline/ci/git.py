"""What git knows of two commits: which files differ, and how a file looked."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.git import ask


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
    code, out, _ = ask(root, *arguments, exact=True)
    return out if code == 0 else None


def _run(root: Path, *arguments: str) -> str:
    code, out, why = ask(root, *arguments, exact=True)
    if code:
        raise SettingsError(f"git {arguments[0]} failed: {why or f'exit code {code}'}", where=str(root))
    return out
