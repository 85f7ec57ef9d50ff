"""The verbs of a job that judge: drift, required, summary."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pipeline import settings as store
from pipeline.ci import needs, say
from pipeline.cli import _ci_job
from pipeline.errors import SettingsError


def drift(args: argparse.Namespace) -> int:
    """Every pipeline of the environment; what was found goes into the environment's one issue."""
    from pipeline.ci import issue
    from pipeline.ci.github import Forge

    context = _ci_job.context()
    forge = Forge.of(context, os.environ)
    if forge is None:
        raise SettingsError("there is no token to write the issue with", where="GITHUB_TOKEN")
    root = _ci_job.root()
    folder = root / "build/ci/drift"
    folder.mkdir(parents=True, exist_ok=True)
    reports: dict[str, str] = {}
    worst = 0
    for name in store.names(root):
        settings = store.load(root, name, args.environment)
        _ci_job.take_role(settings, "plan", context)
        report = folder / f"{name}.md"
        report.unlink(missing_ok=True)
        with say.group(f"drift of {name} in {args.environment}"):
            code = _ci_job.verb(
                "drift", name, "-e", args.environment, "--markdown", str(report), "--detailed-exitcode"
            )
        if code == issue.DRIFTED:
            reports[name] = _text(report)
        else:
            worst = max(worst, code)
    if worst:
        # What could not be looked at is not known to be well: the issue stays as it is.
        return worst
    url = issue.refresh(forge, args.environment, reports, context.run_url)
    say.summary(f"### Drift in {args.environment}\n\n" + ("\n\n".join(reports.values()) or "None."))
    if url:
        print(url)
    return 0


def _text(report: Path) -> str:
    return report.read_text(encoding="utf-8") if report.is_file() else "It drifted; the log says how."


def required(_: argparse.Namespace) -> int:
    """From $NEEDS, the job's own `needs` as JSON."""
    jobs = needs.parse(os.environ.get("NEEDS", ""))
    problems = needs.problems(jobs)
    say.summary(needs.table(jobs))
    for job in jobs:
        print(f"{job.name}: {job.result}")
    for problem in problems:
        say.annotate("error", problem, title="required")
    return 1 if problems else 0


def summary(args: argparse.Namespace) -> int:
    """The same, at the end of a workflow that nobody protects a branch with."""
    return required(args)
