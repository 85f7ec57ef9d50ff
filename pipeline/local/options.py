"""How a local target is to behave, told once at its start: by `pipeline local up`, else by variables."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pipeline.errors import SettingsError

BEST_EFFORT, ENFORCE = "best-effort", "enforce"
ISOLATION = "PIPELINE_LOCAL_ISOLATION"
AUTO, PROCESS, CONTAINER = "auto", "process", "container"
RUNNER = "PIPELINE_LOCAL_RUNNER"
WAIT_SCALE = "PIPELINE_LOCAL_WAIT_SCALE"

# Variable -> what it may be; the first is the default.
CHOICES = {ISOLATION: (BEST_EFFORT, ENFORCE), RUNNER: (AUTO, PROCESS, CONTAINER)}


def chosen(variable: str) -> str:
    """The value that holds in this process.

    Raises:
        SettingsError: the variable holds something else than it may.
    """
    allowed = CHOICES[variable]
    value = os.environ.get(variable) or allowed[0]
    if value not in allowed:
        raise SettingsError(f"unknown value {value!r}", where=variable, hint=f"use {' or '.join(allowed)}")
    return value


def wanted(given: Mapping[str, str]) -> dict[str, str]:
    """What the caller asks for by name: `given`, over what is set in the environment; defaults left out."""
    asked = {name: chosen(name) for name in CHOICES if os.environ.get(name)}
    return {**asked, **given}
