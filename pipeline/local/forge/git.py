"""git, on the remote's repository and on checkouts of it."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.git import ask

ZERO = "0" * 40
# Who makes the commits that merge a pull request.
_IDENTITY = ("-c", "user.name=local remote", "-c", "user.email=remote@localhost")


def git(folder: Path, *arguments: str, code: int | None = 0) -> str:
    """The output of a git command, stripped.

    Raises:
        SettingsError: it ended with another code than `code` (None: any).
    """
    ended, out, why = ask(folder, *_IDENTITY, *arguments)
    if code is not None and ended != code:
        raise SettingsError(f"git {' '.join(arguments)} ended with {ended}: {why}", where=str(folder))
    return out


def commit_of(repository: Path, name: str) -> str:
    """The commit a ref, tag or id stands for; empty when there is none."""
    return git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", code=None)


def is_ancestor(repository: Path, older: str, newer: str) -> bool:
    """Whether `newer` holds `older`."""
    return ask(repository, "merge-base", "--is-ancestor", older, newer)[0] == 0


def changed(repository: Path, before: str, after: str) -> list[str]:
    """Paths that differ between two commits; all of `after` where there is no before."""
    if before == ZERO or not commit_of(repository, before):
        return git(repository, "ls-tree", "-r", "--name-only", after).splitlines()
    return git(repository, "diff", "--name-only", "--no-renames", before, after).splitlines()


def merged(repository: Path, base: str, head: str, message: str) -> str | None:
    """A commit that merges `head` into `base`, made without a work tree; None where they conflict."""
    code, out, _ = ask(repository, "merge-tree", "--write-tree", base, head)
    if code:
        return None
    tree = out.split("\n", 1)[0]
    return git(repository, "commit-tree", tree, "-p", base, "-p", head, "-m", message)
