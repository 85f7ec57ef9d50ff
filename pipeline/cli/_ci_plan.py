"""The verbs of a job around a pull request: plan, comment."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from pipeline import settings as store
from pipeline.ci import bundle as bundles
from pipeline.ci import changes, say, stages
from pipeline.cli import _ci_job
from pipeline.errors import SettingsError


def plan(args: argparse.Namespace) -> int:
    """Plan, and seal what came of it, also if nothing did: the comment has to say why."""
    context = _ci_job.context()
    if context.fork and not args.offline:
        raise SettingsError(
            "a fork's pull request is planned without credentials", hint="pipeline ci plan NAME --offline"
        )
    root = _ci_job.root()
    folder = root / args.out
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file, report = folder / bundles.PLAN, folder / bundles.REPORT
    words = [
        "plan",
        args.name,
        "--environment",
        args.environment,
        "--out",
        str(file),
        "--markdown",
        str(report),
    ]
    if args.offline:
        base = changes.find(root, context).base
        words += ["--offline", *(["--base", base] if base else [])]
    else:
        settings = store.load(root, args.name, args.environment)
        _ci_job.take_role(settings, "plan", context)
        # On sample data it is the same everywhere, and needs to be seen once.
        words += ["--smoke"] if args.environment in stages.find(root).merge else []
    with say.group(f"plan {args.name} in {args.environment}"):
        code = _ci_job.verb(*words)
    text = report.read_text(encoding="utf-8") if report.is_file() else ""
    if code and not text:
        text = f"The plan failed (exit code {code}); its log says why: {context.run_url}\n"
    digest, changed = _digest(file)
    if args.offline:
        # Of what the repository says alone: nothing that could be applied has this digest.
        digest = ""
    bundles.write(
        folder,
        bundles.Bundle(
            pipeline=args.name,
            environment=args.environment,
            head=context.head,
            digest=digest,
            changes=changed,
            offline=args.offline,
            failed=code != 0,
            files={},
            report=text,
            plan=file.read_bytes() if digest else b"",
        ),
    )
    say.summary(text)
    say.output("digest", digest)
    return code


def _digest(file: Path) -> tuple[str, bool]:
    """Of the plan in this file, if there is one: its digest, and whether it changes anything."""
    from pipeline import plan as plans

    if not file.is_file():
        return "", False
    found = plans.load(file)
    return found.digest, found.changes


def comment(_: argparse.Namespace) -> int:
    """Find the pull request and the plans of the run that ended, and upsert the comment."""
    from pipeline.ci import comment as comments
    from pipeline.ci.github import Forge

    context = _ci_job.context()
    forge = Forge.of(context, os.environ)
    if forge is None:
        raise SettingsError("there is no token to comment with", where="GITHUB_TOKEN")
    goes = stages.find(_ci_job.root())
    url = comments.publish(context, forge, [*goes.merge, *goes.release])
    if url:
        print(url)
        say.summary(f"[The comment]({url})")
    else:
        print("nothing to comment on: no open pull request is at this run's commit")
    return 0
