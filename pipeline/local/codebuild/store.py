"""CodeBuild's records, and whose request it is."""

from __future__ import annotations

from pipeline.local.api import store as shared
from pipeline.local.api.store import Record

__all__ = ["BUILD", "PROJECT", "Record", "Scope", "Store", "store"]

# Kinds of records: a project under its name, a build under its id.
PROJECT, BUILD = "project", "build"


class Scope(shared.Scope):
    """An account and region, with CodeBuild's ARNs in it."""

    def arn(self, resource: str) -> str:
        """ARN of `project/<name>` or `build/<id>`."""
        return f"arn:{self.partition}:codebuild:{self.region}:{self.account}:{resource}"


class Store(shared.Store[Scope]):
    """Below `<state>/codebuild`."""

    folder = "codebuild"
    scope_type = Scope


# The process's one store.
store = Store()
