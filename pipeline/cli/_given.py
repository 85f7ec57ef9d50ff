"""A workflow from a file (`--asl FILE`) for plan and apply: read, checked by every rule, or refused."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

HELP = "take this Amazon States Language (JSON) instead of the definition's workflow"


def add_option(parser: argparse.ArgumentParser) -> None:
    """Give `parser` --asl."""
    parser.add_argument("--asl", metavar="FILE", help=HELP)


def with_workflow(args: argparse.Namespace, settings: Settings) -> Settings:
    """The settings with the file's workflow in them, if one was given and nothing is wrong with it.

    Raises:
        SettingsError: it cannot be read, or this is a build service.
        CheckError: a rule finds an error; all findings were printed.
    """
    if not args.asl:
        return settings
    from pathlib import Path

    from pipeline.check import report, runner
    from pipeline.cli import _output
    from pipeline.errors import CheckError, SettingsError
    from pipeline.settings import workflow

    if os.environ.get("CI") == "true":
        raise SettingsError(
            "a build service deploys what the repository says, never a file beside it",
            where="--asl",
            hint="put the change into pipeline/definitions, or apply it by hand",
        )
    given = settings.model_copy(update={"workflow": workflow.read(Path(args.asl))})
    result = runner.check(given)
    errors, warnings = report.counts([result])
    if errors or warnings:
        _output.say(report.human([result]))
    if errors:
        raise CheckError(
            f"{errors} {'errors' if errors > 1 else 'error'} in the workflow given",
            where=args.asl,
            hint="mend what is said above; nothing was changed",
        )
    return given
