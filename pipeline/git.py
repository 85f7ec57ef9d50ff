"""What git knows of a repository: the commit of the working tree, and any question put to it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import SettingsError

TIMEOUT_SECONDS = 10
# A hook has variables that would point git at the repository that it runs for; these a user sets on purpose.
_KEPT = frozenset(
    {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH", "GIT_SSH_COMMAND"}
)


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


def environment() -> dict[str, str]:
    """This process's variables without what leads git to another repository than the one it is asked of."""
    return {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in _KEPT}


def ask(root: Path, *arguments: str, timeout: float = 60, exact: bool = False) -> tuple[int, str, str]:
    """Git's exit code, output and errors, stripped; where the answer matters, also when it is no.

    Args:
        exact: the output as it is, unstripped; bytes that are no UTF-8 as surrogates.

    Raises:
        SettingsError: there is no git, or it does not answer.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            errors="surrogateescape" if exact else "replace",
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={**environment(), "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise SettingsError("git is not installed", hint="install git") from error
    except subprocess.TimeoutExpired as error:
        raise SettingsError(
            f"git {arguments[0]} did not answer within {timeout:.0f} s", where=str(root)
        ) from error
    return done.returncode, done.stdout if exact else done.stdout.strip(), done.stderr.strip()


def _git(root: Path, *arguments: str) -> str:
    """The answer where it may as well be missing: no git, no repository."""
    try:
        code, out, _ = ask(root, *arguments, timeout=TIMEOUT_SECONDS)
    except SettingsError:
        return ""
    return out if code == 0 else ""
