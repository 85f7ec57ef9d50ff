"""Which commit was deployed last: what a push has to be compared with.

The commit before a push is not enough: where the run for it failed, or was given up, its changes are still
to be applied, and the next push must count them in.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.ci import git, say
from pipeline.ci.context import Context
from pipeline.ci.github import Forge
from pipeline.errors import TargetError


def last(context: Context, root: Path) -> str:
    """The newest commit of this branch whose run of this workflow ended well; empty if that is not known.

    Only commits that this one was built on count: after a rewritten branch nothing is known.
    """
    forge = Forge.of(context, os.environ)
    if forge is None or not context.workflow or not context.branch:
        return ""
    try:
        runs = forge.successful_runs(context.workflow, context.branch)
    except TargetError as error:
        say.annotate("warning", f"taking the push's own base: {error.what}", title="last deployment unknown")
        return ""
    for sha in runs:
        if sha != context.sha and git.merge_base(root, sha, context.sha) == sha:
            return sha
    return ""
