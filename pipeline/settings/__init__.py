"""Typed, validated desired state: `pipeline.toml` and one `settings.toml` a pipeline."""

from pipeline.settings.loader import (
    REPOSITORY_VARIABLE,
    environments,
    explain,
    find_root,
    load,
    names,
    project,
)
from pipeline.settings.model import Settings

__all__ = [
    "REPOSITORY_VARIABLE",
    "Settings",
    "environments",
    "explain",
    "find_root",
    "load",
    "names",
    "project",
]
