"""What a build service asks of the repository: what happened, whom it concerns, what to say about it.

GitHub Actions, CodeBuild and the local remote are told apart in two adapters (`github_actions`, `codebuild`)
that make one `Context`; nothing after them asks which it was.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.ci.context import Context
from pipeline.errors import SettingsError

__all__ = ["Context", "from_environment"]


def from_environment(environment: Mapping[str, str]) -> Context:
    """The context of this build, from the variables its service sets.

    Raises:
        SettingsError: neither service's variables are there, or what they say is not whole.
    """
    if environment.get("GITHUB_ACTIONS") == "true":
        from pipeline.ci import github_actions

        return github_actions.context(environment)
    if environment.get("CODEBUILD_BUILD_ID"):
        from pipeline.ci import codebuild

        return codebuild.context(environment)
    raise SettingsError(
        "this is neither a job of GitHub Actions nor a build of CodeBuild",
        where="GITHUB_ACTIONS, CODEBUILD_BUILD_ID",
        hint="use the verb itself: `pipeline plan NAME`; `pipeline local remote` runs the workflows here",
    )
