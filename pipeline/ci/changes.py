"""From a context to the files that changed, or to the reason why everything counts as changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.ci import git
from pipeline.ci.context import Context
from pipeline.errors import SettingsError


@dataclass(frozen=True)
class Changes:
    """What to look at.

    Args:
        base, head: the commits compared; `base` is empty where everything counts.
        files: paths that differ.
        everything: nothing can be left out, for the reason in `why`.
        why: one sentence for people.
    """

    base: str
    head: str
    files: tuple[str, ...]
    everything: bool
    why: str


def find(root: Path, context: Context, base: str = "") -> Changes:
    """The changes that this build is about.

    Args:
        base: compare with this commit instead of the event's, such as the last one that was deployed.

    Raises:
        SettingsError: the clone is cut off before the base, so that nobody can tell.
    """
    head = context.head if git.exists(root, context.head) else context.sha
    if context.event in ("tag", "schedule", "manual"):
        return Changes("", head, (), True, f"a {_NAMES[context.event]} is about every pipeline")
    base = base or context.base
    if not base:
        return Changes("", head, (), True, "there is no earlier commit to compare with: every pipeline")
    if not git.exists(root, head):
        raise _cut_off(f"commit {head[:12]} is not in this clone")
    if not git.exists(root, base):
        if git.shallow(root):
            raise _cut_off(f"commit {base[:12]}, to compare with, is not in this clone")
        why = "was rewritten away" if context.forced else "is not in this repository"
        return Changes("", head, (), True, f"the earlier commit {base[:12]} {why}: every pipeline")
    start = base
    if context.event in ("pull_request", "merge_group"):
        # What the base branch gained since is not this change's doing.
        start = git.merge_base(root, base, head)
        if not start:
            if git.shallow(root):
                raise _cut_off(f"where {base[:12]} and {head[:12]} parted is not in this clone")
            return Changes("", head, (), True, "the branches share no history: every pipeline")
    files = git.changed(root, start, head)
    return Changes(
        start, head, files, False, f"{len(files)} files differ between {start[:12]} and {head[:12]}"
    )


_NAMES = {"tag": "release", "schedule": "schedule", "manual": "manual start"}


def _cut_off(what: str) -> SettingsError:
    return SettingsError(
        what,
        where="shallow clone",
        hint="check out all history: fetch-depth 0 of actions/checkout, gitCloneDepth 0 in CodeBuild",
    )
