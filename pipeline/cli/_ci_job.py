"""What the verbs of a job share: the context, the role it takes, and the other verbs as functions."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pipeline import settings as store
from pipeline.ci import Context, from_environment, say, stages
from pipeline.settings.model import Settings

# GitHub masks these itself; whoever else runs the workflows is told to.
SECRET = ("GITHUB_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")


def context() -> Context:
    """Of this build. From here on the settings know the repository's name: account.yaml is made with it."""
    found = from_environment(os.environ)
    for name in SECRET:
        say.mask(os.environ.get(name, ""))
    os.environ.setdefault(store.REPOSITORY_VARIABLE, found.repository)
    return found


def root() -> Path:
    return store.find_root()


def verb(*words: str) -> int:
    """Run another verb as a user would; its exit code, with its errors printed."""
    from pipeline.cli import main

    with say.no_commands():
        return main([word for word in words if word])


def take_role(settings: Settings, purpose: str, context: Context) -> str:
    """Have AWS calls from here on use this environment's role, and say which.

    With an identity token of the job (`permissions: id-token: write`) that is the role of account.yaml;
    without one the credentials are those the service gave the build, and nothing is changed.
    """
    from pipeline.aws import web_identity

    arn = stages.role(settings, purpose)
    if not web_identity.available(os.environ):
        return ""
    os.environ[web_identity.ROLE] = arn
    # CloudTrail shows it: which run of which repository did this.
    name = re.sub(r"[^\w+=,.@-]", "-", f"{context.repository}-{context.run_id}")
    os.environ[web_identity.SESSION_NAME] = name[-64:]
    return arn


def targeted() -> str:
    """The target's name, for verbs that take it: jobs set PIPELINE_TARGET."""
    return os.environ.get("PIPELINE_TARGET", "")
