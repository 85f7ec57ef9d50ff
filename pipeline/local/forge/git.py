"""git, run on the remote's repository and on checkouts of it, away from the variables of a hook."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pipeline.errors import SettingsError

# What git tells a hook about the repository it runs in; it would lead every other git astray.
_LEADING = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
    "GIT_PREFIX",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_EXEC_PATH",
)
ZERO = "0" * 40
AUTHOR = {"name": "local remote", "email": "remote@localhost"}


def environment(quarantine: bool = False) -> dict[str, str]:
    """This process's variables without what a hook has of its repository.

    Args:
        quarantine: keep where a push that is not accepted yet has its objects.
    """
    kept = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")
    return {
        name: value
        for name, value in os.environ.items()
        if (name not in _LEADING and not name.startswith("GIT_PUSH_OPTION")) or (quarantine and name in kept)
    }


def git(folder: Path, *arguments: str, code: int | None = 0, quarantine: bool = False) -> str:
    """The output of a git command, stripped.

    Raises:
        SettingsError: it ended with another code than `code` (None: any).
    """
    identity = {
        "GIT_AUTHOR_NAME": AUTHOR["name"],
        "GIT_AUTHOR_EMAIL": AUTHOR["email"],
        "GIT_COMMITTER_NAME": AUTHOR["name"],
        "GIT_COMMITTER_EMAIL": AUTHOR["email"],
    }
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**environment(quarantine), **identity},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if code is not None and done.returncode != code:
        raise SettingsError(
            f"git {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}",
            where=str(folder),
        )
    return done.stdout.strip()


def commit_of(repository: Path, name: str) -> str:
    """The commit a ref, tag or id stands for; empty when there is none."""
    return git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", code=None)


def is_ancestor(repository: Path, older: str, newer: str) -> bool:
    """Whether `newer` holds `older`."""
    done = subprocess.run(
        ["git", "merge-base", "--is-ancestor", older, newer],
        cwd=repository,
        env=environment(),
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def changed(repository: Path, before: str, after: str) -> list[str]:
    """Paths that differ between two commits; all of `after` where there is no before."""
    if before == ZERO or not commit_of(repository, before):
        return git(repository, "ls-tree", "-r", "--name-only", after).splitlines()
    return git(repository, "diff", "--name-only", "--no-renames", before, after).splitlines()


def merged(repository: Path, base: str, head: str, message: str) -> str | None:
    """A commit that merges `head` into `base`, made without a work tree; None where they conflict."""
    done = subprocess.run(
        ["git", "merge-tree", "--write-tree", base, head],
        cwd=repository,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return None
    tree = done.stdout.split("\n", 1)[0]
    return git(repository, "commit-tree", tree, "-p", base, "-p", head, "-m", message)
