"""The verbs of a job that change an environment: apply, promote, rollback, retrain."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import settings as store
from pipeline.ci import git, say
from pipeline.cli import _ci_job, _ci_look
from pipeline.errors import ApplyError, PipelineError, SettingsError

# Set where no token can be had, such as on CodeBuild: what is applied is planned anew.
UNREVIEWED = "PIPELINE_CI_UNREVIEWED"

if TYPE_CHECKING:
    from pipeline.ci import Context
    from pipeline.ci.reviewed import Reviewed


def apply(args: argparse.Namespace) -> int:
    """Each pipeline concerned, one after the other; one that fails does not keep the others waiting."""
    context = _ci_job.context()
    if context.event == "manual" and not args.digest:
        raise SettingsError(
            "started by hand, so nobody reviewed what would be applied",
            where="digest",
            hint=f"look at it first: pipeline plan NAME -e {args.environment}; its last line has the digest",
        )
    found = _ci_look.look(context)
    names = found.in_environment(args.environment)
    folder = _ci_job.root() / args.out
    folder.mkdir(parents=True, exist_ok=True)
    codes: dict[str, int] = {}
    for name in names:
        try:
            code = _apply_one(context, args, name, folder, found.base)
        except PipelineError as error:
            say.annotate("error", str(error), title=f"{name} in {args.environment}")
            code = error.exit_code
        if code is not None:
            codes[name] = code
    if args.digest and not codes:
        raise ApplyError(
            f"no plan in {args.environment} has the digest {args.digest}",
            where=", ".join(names),
            hint=f"something moved; look again: pipeline plan NAME -e {args.environment}",
        )
    _report(f"Applied in {args.environment}", codes)
    return max(codes.values(), default=0)


def _apply_one(context: Context, args: argparse.Namespace, name: str, folder: Path, base: str) -> int | None:
    """Apply and run one pipeline; its exit code, or None where another pipeline's digest was given."""
    from pipeline import plan as plans
    from pipeline.ci import subjects

    settings = store.load(_ci_job.root(), name, args.environment)
    reference = ["--environment", args.environment]
    merged = None if args.digest else _reviewed(context, name, args.environment, base)
    _ci_job.take_role(settings, "deploy", context)
    file = folder / f"{name}.plan.json"
    if merged is None:
        with say.group(f"plan {name} in {args.environment}"):
            code = _ci_job.verb("plan", name, *reference, "--out", str(file))
        if code:
            return code
        digest = plans.load(file).digest
        if args.digest and digest != args.digest:
            print(f"{name}: its plan has the digest {digest}, which is another; nothing is applied")
            file.unlink()
            return None
    else:
        file.write_bytes(merged.bundle.plan)
        print(f"{name}: the plan of pull request #{merged.pull_request}, digest {merged.bundle.digest[:16]}")
    with say.group(f"apply {name} in {args.environment}"):
        code = _ci_job.verb("apply", name, *reference, "--plan", str(file), "--yes")
    if code:
        return code
    subjects.add(folder, settings, file)
    with say.group(f"run {name} in {args.environment}"):
        return _run(context, name, reference, merged.pull_request if merged else 0)


def _reviewed(context: Context, name: str, environment: str, base: str) -> Reviewed | None:
    """The plan that people saw; None where this push came without a pull request."""
    from pipeline.ci import reviewed
    from pipeline.ci.github import Forge

    forge = Forge.of(context, os.environ)
    if forge is None and os.environ.get(UNREVIEWED) == "true":
        say.annotate("notice", f"{UNREVIEWED} is set: a fresh plan is applied", title=name)
        return None
    if forge is None:
        raise ApplyError(
            "without a token nobody can say whether this was reviewed",
            where="GITHUB_TOKEN",
            hint="give it to the step, or apply a digest: pipeline ci apply --digest; a service that keeps "
            f"no plans sets {UNREVIEWED}=true",
        )
    # All that was pushed since the last deployment, of which a failed one may have left some undone.
    commits = git.commits(_ci_job.root(), base, context.sha) if base else [context.sha]
    found = reviewed.find(forge, context, commits, name, environment)
    if found is None:
        say.annotate("notice", "pushed without a pull request: a fresh plan is applied", title=name)
    return found


def _run(context: Context, name: str, reference: list[str], pull_request: int) -> int:
    """Start the run for this commit (or attach to it) and follow it."""
    words = ["run", name, *reference, "--follow", "--run-url", context.run_url]
    return _ci_job.verb(*words, *(["--pull-request", str(pull_request)] if pull_request else []))


def promote(args: argparse.Namespace) -> int:
    """Every pipeline that the source environment serves, to this environment."""
    from pipeline.ci.github import Forge
    from pipeline.cli import _ci_approve, _target

    context = _ci_job.context()
    if context.event != "tag":
        raise SettingsError(f"a release is a tag, and this is a {context.event}", where=context.ref)
    root = _ci_job.root()
    wanted = [store.load(root, name, args.environment) for name in store.names(root)]
    if not wanted:
        raise SettingsError("no pipeline is defined", where=str(root))
    # Asked first: the environment's role is not needed to know who let this job begin.
    forge = Forge.of(context, os.environ)
    _ci_job.take_role(wanted[0], "deploy", context)
    clients = _target.connect_for(argparse.Namespace(target=None), wanted[0])
    title = f"promote {context.tag} to {args.environment}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        words = ["promote", context.tag, "--to", args.environment, "--report", str(file)]
        with say.group(title), _ci_approve.passed_on(context, forge, wanted, clients):
            code = _ci_job.verb(*words)
        # Without one it was refused before anything began.
        left_out = json.loads(file.read_text())["left_out"] if file.exists() else {}
    for name, why in left_out.items():
        say.annotate("warning", f"left out: {why}", title=f"{name} {context.tag}")
    codes = {each.name: code for each in wanted if each.name not in left_out}
    _report(f"Promoted {context.tag} to {args.environment}", codes, left_out)
    return code


def rollback(args: argparse.Namespace) -> int:
    """The other verb, under the role of the environment."""
    context = _ci_job.context()
    settings = store.load(_ci_job.root(), args.name, args.environment)
    _ci_job.take_role(settings, "deploy", context)
    words = ["rollback", args.name, "-e", args.environment, "--reason", args.reason]
    with say.group(f"rollback {args.name} in {args.environment}"):
        code = _ci_job.verb(*words, *(["--to", args.to] if args.to else []))
    _report(f"Rolled back in {args.environment}: {args.reason}", {args.name: code})
    return code


def retrain(args: argparse.Namespace) -> int:
    """Pipelines that EventBridge does not start by itself; without new data their run says so and ends."""
    context = _ci_job.context()
    codes: dict[str, int] = {}
    for name in store.names(_ci_job.root()):
        settings = store.load(_ci_job.root(), name, args.environment)
        if settings.pipeline.schedule.enabled:
            print(f"{name}: EventBridge starts it ({settings.pipeline.schedule.expression})")
            continue
        _ci_job.take_role(settings, "deploy", context)
        with say.group(f"run {name} in {args.environment}"):
            codes[name] = _run(context, name, ["--environment", args.environment], 0)
    _report(f"Retrained in {args.environment}", codes)
    return max(codes.values(), default=0)


def _report(title: str, codes: dict[str, int], left_out: Mapping[str, str] | None = None) -> None:
    rows = [f"| {name} | {'well' if not code else f'failed ({code})'} |" for name, code in codes.items()]
    rows += [f"| {name} | left out: {why} |" for name, why in (left_out or {}).items()]
    text = "\n".join(["| Pipeline | Ended |", "|---|---|", *rows]) if rows else "No pipeline is concerned."
    say.summary(f"### {title}\n\n{text}")
