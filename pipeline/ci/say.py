"""How a job talks to its build service: outputs, summary, annotations, groups, masks.

Files are appended to as GitHub documents it; where the service has none (CodeBuild), the text goes to
the log and nothing else changes.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# A job's summary may have 1 MiB in all; the rest is in the artifact.
SUMMARY_LIMIT = 900_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def output(name: str, value: Any) -> None:
    """Set an output of the step: text, or JSON of anything else.

    The value is fenced by a delimiter that nobody can guess, so that no line of it can begin another output.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"not an output's name: {name!r}")
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    if not os.environ.get("GITHUB_OUTPUT"):
        print(f"{name} = {text}", flush=True)
        return
    fence = f"EOF-{secrets.token_hex(16)}"
    _append("GITHUB_OUTPUT", f"{name}<<{fence}\n{text}\n{fence}\n")


def summary(markdown: str) -> None:
    """Add to the page of the run."""
    if len(markdown) > SUMMARY_LIMIT:
        markdown = markdown[:SUMMARY_LIMIT] + "\n\n... cut; the whole is in the artifact."
    _append("GITHUB_STEP_SUMMARY", markdown.rstrip("\n") + "\n\n")


def annotate(level: str, text: str, *, title: str = "") -> None:
    """A `notice`, `warning` or `error` on the run's page; a plain line elsewhere."""
    if _commands():
        properties = f" title={_escape(title, property=True)}" if title else ""
        print(f"::{level}{properties}::{_escape(text)}", flush=True)
    else:
        print(f"{level}: {f'{title}: ' if title else ''}{text}", file=sys.stderr, flush=True)


def mask(secret: str) -> None:
    """Have the service replace this value by *** in all that follows."""
    if secret and _commands():
        print(f"::add-mask::{_escape(secret)}", flush=True)


@contextmanager
def group(title: str) -> Iterator[None]:
    """Fold what is printed within."""
    if _commands():
        print(f"::group::{_escape(title)}", flush=True)
    else:
        print(f"== {title}", flush=True)
    try:
        yield
    finally:
        sys.stdout.flush()
        if _commands():
            print("::endgroup::", flush=True)


@contextmanager
def no_commands() -> Iterator[None]:
    """Print text that others wrote: a line in it that looks like a command is not taken for one."""
    if not _commands():
        yield
        return
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", flush=True)
    try:
        yield
    finally:
        sys.stdout.flush()
        print(f"::{token}::", flush=True)


def _commands() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _append(variable: str, text: str) -> None:
    path = os.environ.get(variable)
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
    else:
        print(text, end="", flush=True)


def _escape(text: str, *, property: bool = False) -> str:
    for char, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(char, code)
    if property:
        text = text.replace(":", "%3A").replace(",", "%2C")
    return text
