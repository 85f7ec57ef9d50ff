"""`pipeline ci`: what the jobs of GitHub Actions and the builds of CodeBuild run, one call each."""

from __future__ import annotations

import argparse
import importlib

HELP = "the verbs of .github/workflows and buildspec.yml: what happened, whom it concerns, do it"
DESCRIPTION = """\
Every `run:` of a workflow and every command of buildspec.yml is one of these. They read what happened from
the build service's variables, do it with the other verbs, and report: annotations, the run's summary, the
step's outputs. On a machine of your own use the other verbs; `pipeline local remote` runs the workflows."""
EPILOG = """\
examples, in a job:
  pipeline ci affected                          which pipelines, in which environments, and why
  pipeline ci plan iris --environment staging   the plan, sealed, for the comment and for apply
  pipeline ci apply --environment staging       exactly the plan that was reviewed, then the run
  pipeline ci required                          the one check of branch protection"""

# verb -> (module of pipeline.cli, what it does)
_VERBS = {
    "context": ("_ci_look", "print what happened, as this repository's tools see it"),
    "affected": ("_ci_look", "tell which pipelines and environments a change concerns, and why"),
    "check": ("_ci_look", "check the pipelines concerned; findings as annotations"),
    "plan": ("_ci_plan", "plan one pipeline in one environment; seal plan and report into an artifact"),
    "comment": ("_ci_plan", "write the plans of a finished run into the pull request's one comment"),
    "apply": ("_ci_deploy", "apply the reviewed plan of each pipeline concerned, start its run, follow it"),
    "build": ("_ci_build", "do what the event asks for, in $PIPELINE_CI_ENVIRONMENT (CodeBuild's one build)"),
    "promote": ("_ci_deploy", "promote what was tested to this environment, for the tag that was pushed"),
    "rollback": ("_ci_deploy", "let an earlier model serve again"),
    "retrain": ("_ci_deploy", "run each pipeline that has no schedule of its own"),
    "drift": ("_ci_watch", "look for drift; open, refresh or close its one issue"),
    "required": ("_ci_watch", "fail unless every job that had to run succeeded"),
    "summary": ("_ci_watch", "write how the jobs ended to the run's page; fail if one did"),
}
_NAMED = {"plan", "rollback"}
_IN_ENVIRONMENT = {"plan", "apply", "promote", "rollback", "retrain", "drift"}


def configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="ci_verb", metavar="VERB", required=True)
    for verb, (_, text) in _VERBS.items():
        sub = verbs.add_parser(verb, help=text, description=text[0].upper() + text[1:] + ".")
        if verb in _NAMED:
            sub.add_argument("name", metavar="NAME", help="the pipeline")
        if verb in _IN_ENVIRONMENT:
            sub.add_argument("--environment", "-e", metavar="ENV", required=True, help="of pipeline.toml")
        if verb in ("context", "affected"):
            sub.add_argument("--json", action="store_true", help="print JSON")
        if verb == "plan":
            sub.add_argument(
                "--offline", action="store_true", help="from the repository alone: for a fork, without a role"
            )
            sub.add_argument(
                "--out", metavar="DIR", default="build/ci/plan", help="the artifact's folder (%(default)s)"
            )
        if verb == "apply":
            sub.add_argument(
                "--digest", default="", help="apply a plan with this digest although nobody reviewed it"
            )
            sub.add_argument(
                "--out", metavar="DIR", default="build/ci/applied", help="what was applied (%(default)s)"
            )
        if verb == "rollback":
            sub.add_argument("--to", default="", metavar="VERSION", help="default: the one before")
            sub.add_argument("--reason", required=True, help="for the record and for Slack")


def run(args: argparse.Namespace) -> int:
    """Run one verb."""
    module = importlib.import_module(f"pipeline.cli.{_VERBS[args.ci_verb][0]}")
    return int(getattr(module, args.ci_verb)(args))
