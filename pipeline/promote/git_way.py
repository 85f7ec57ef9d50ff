"""What Git still says after a rollback, which changes nothing there, and how to make it say the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.git import ask
from pipeline.promote import content, tested

if TYPE_CHECKING:
    from pipeline.promote.back import RolledBack
    from pipeline.settings.model import Settings

# More commits than this are not reverted one by one by anybody.
FEW = 8


def explain(root: Path, settings: Settings, done: RolledBack) -> str:
    """Some lines for a person; what follows depends on what the two versions were made from."""
    paths = tested.sources(settings)
    head = f"Git still wants version {done.left}"
    if not done.git_left or not done.git_now:
        return f"{head}: the next run with new data deploys again; revert what made it."
    equal = content.same(root, done.git_now, done.git_left, paths)
    if equal is None:
        return (
            f"{head}, made from {done.git_left[:12]}, which is not in this clone: fetch, and revert what is "
            f"between {done.git_now[:12]} and it."
        )
    if equal:
        return (
            f"Both versions were made from the same content ({done.git_now[:12]}), of other data: there is "
            "nothing to revert.\nThe next run with new data deploys again; tighten the gate, or switch the "
            "schedule off until the data is right."
        )
    commits = _between(root, done.git_now, done.git_left, paths)
    lines = [f"{head} (made from {done.git_left[:12]}): the next run deploys it or its successor again."]
    if not commits or len(commits) > FEW:
        lines.append(
            f"See what changed: git diff {done.git_now[:12]} {done.git_left[:12]} -- {' '.join(paths)}"
        )
        return "\n".join(lines)
    lines.append(
        "Make Git say the same, and push it; the earlier model is found by its fingerprint, not trained:"
    )
    for commit, parents in commits:
        mainline = "-m 1 " if parents > 1 else ""
        lines.append(f"    git revert {mainline}{commit[:12]}")
    return "\n".join(lines)


def _between(root: Path, older: str, newer: str, paths: list[str]) -> list[tuple[str, int]]:
    """(commit, number of its parents) from `newer` back to `older` along the main line; none if it is not."""
    if ask(root, "merge-base", "--is-ancestor", older, newer)[0]:
        return []
    # A merge counts by what it brought to the main line.
    span = ("--first-parent", "--format=%H %P", f"{older}..{newer}", "--", *paths)
    code, out, _ = ask(root, "log", "--no-patch", *span)
    rows = [line.split() for line in out.splitlines()] if not code else []
    return [(row[0], len(row) - 1) for row in rows]
