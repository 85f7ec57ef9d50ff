"""The verb of a service that has one build for every event: what happened decides what is done."""

from __future__ import annotations

import argparse
import os

from pipeline.ci import say
from pipeline.cli import _ci_deploy, _ci_job, _ci_look, _ci_plan
from pipeline.errors import SettingsError

# The build project's own variable: account.yaml gives each environment its projects.
ENVIRONMENT = "PIPELINE_CI_ENVIRONMENT"


def build(args: argparse.Namespace) -> int:
    """Plan a pull request, apply a merge, promote a tag; by hand or by the clock, look for new data."""
    environment = os.environ.get(ENVIRONMENT, "")
    if not environment:
        raise SettingsError(
            "which environment is this build for?", where=f"${ENVIRONMENT}", hint="account.yaml sets it"
        )
    context = _ci_job.context()
    given = argparse.Namespace(environment=environment, out="", digest="", **vars(args))
    if context.event in ("pull_request", "merge_group"):
        return _plans(given)
    if context.event == "tag":
        return _ci_deploy.promote(given)
    if context.event == "push":
        given.out = "build/ci/applied"
        return _ci_deploy.apply(given)
    return _ci_deploy.retrain(given)


def _plans(given: argparse.Namespace) -> int:
    """A plan for each pipeline concerned; every one is made, also after one that failed."""
    found = _ci_look.look(_ci_job.context())
    codes = []
    for name in found.in_environment(given.environment):
        each = argparse.Namespace(**vars(given))
        each.name, each.offline, each.out = name, False, f"build/ci/plan/{name}"
        codes.append(_ci_plan.plan(each))
    if not codes:
        say.summary("### No pipeline is concerned")
        print("no pipeline is concerned: nothing to plan")
    return max(codes, default=0)
