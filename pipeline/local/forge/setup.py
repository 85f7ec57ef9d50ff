"""Make the local remote: a bare repository with hooks, known to the user's repository as `local`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.local.forge import git
from pipeline.local.forge.places import Places, read, write

REMOTE = "local"
HOOKS = ("pre-receive", "proc-receive", "post-receive")
_HOOK = """\
#!/bin/sh
# Made by `pipeline local remote`; made anew by it.
PYTHONPATH={code} exec {python} -m pipeline.local.forge.hooks {hook} {root}
"""


def make(
    places: Places,
    name: str,
    branch: str,
    reviewed: list[str],
    protected: bool,
    left_out: Sequence[str] = (),
) -> bool:
    """Create or refresh everything; whether the bare repository is new. What was pushed stays.

    Args:
        name: owner/name on the forge.
        branch: the one that merges go to.
        reviewed: environments whose jobs wait for `pipeline local remote approve`.
        protected: whether `branch` takes pull requests only.
        left_out: file names of workflows that do not run here.

    Raises:
        SettingsError: not a git repository, git is too old, or `local` is another remote already.
    """
    root = places.root
    if not git.git(root, "rev-parse", "--git-dir", code=None):
        raise SettingsError(
            "this is no git repository", where=str(root), hint="git init -b main && git add -A"
        )
    _new_enough(root)
    known = git.git(root, "remote", "get-url", REMOTE, code=None)
    if known and (root / known).resolve() != places.repository:
        raise SettingsError(
            f"the remote '{REMOTE}' is {known}",
            where=str(root),
            hint=f"git remote rename {REMOTE} other, then try again",
        )
    places.make()
    new = not (places.repository / "HEAD").exists()
    if new:
        git.git(places.folder, "init", "-q", "--bare", f"--initial-branch={branch}", str(places.repository))
    for key, value in {
        "receive.advertisePushOptions": "true",
        "receive.procReceiveRefs": "refs/for",
        "receive.denyNonFastForwards": "false",
        # Pull requests and their merges are for the forge to move.
        "transfer.hideRefs": "refs/pull",
        "gc.auto": "0",
    }.items():
        git.git(places.repository, "config", key, value)
    code = Path(__file__).resolve().parents[3]
    for hook in HOOKS:
        path = places.repository / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        quoted = {"python": sys.executable, "root": str(root), "hook": hook, "code": str(code)}
        path.write_text(_HOOK.format(**{k: shlex.quote(v) for k, v in quoted.items()}), encoding="utf-8")
        path.chmod(0o755)
    write(
        places.settings,
        {
            "repository": name,
            "default_branch": branch,
            "reviewed": reviewed,
            "protected": protected,
            "left_out": list(left_out),
        },
    )
    if not known:
        git.git(root, "remote", "add", REMOTE, os.path.relpath(places.repository, root))
    return new


def exists(places: Places) -> bool:
    """Whether there is one."""
    return (places.repository / "HEAD").exists() and read(places.settings) is not None


def _new_enough(root: Path) -> None:
    """proc-receive came with git 2.29, merging without a work tree with 2.38."""
    words = git.git(root, "version").split()
    version = tuple(int(part) for part in words[2].split(".")[:2])
    if version < (2, 38):
        raise SettingsError(f"git {words[2]} is too old for the local remote", hint="git 2.38 or newer")
