"""Which commit the working tree is; nothing where there is no repository."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_SECONDS = 10


def head(root: Path) -> str:
    """The checked-out commit, 40 digits; empty outside a repository."""
    return _git(root, "rev-parse", "--verify", "HEAD")


def last_change(root: Path, paths: Sequence[str]) -> str:
    """The last commit that touched `paths`, with `-dirty` if they were changed since; empty without one."""
    commit = _git(root, "log", "-1", "--format=%H", "--", *paths)
    if not commit:
        return ""
    return f"{commit}-dirty" if _git(root, "status", "--porcelain", "--", *paths) else commit


def remote(root: Path) -> str:
    """The address of the remote `origin`, as git has it (it may hold a password); empty without one."""
    return _git(root, "remote", "get-url", "origin")


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
