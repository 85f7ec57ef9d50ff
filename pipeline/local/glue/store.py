"""Glue's records, and whose request it is."""

from __future__ import annotations

from pipeline.local.api import store as shared
from pipeline.local.api.store import Record

__all__ = ["JOB", "RUN", "Record", "Scope", "Store", "store"]

# Kinds of records: a job under its name, a run under its id.
JOB, RUN = "job", "job-run"


class Scope(shared.Scope):
    """An account and region, with Glue's ARNs in it."""

    def arn(self, resource: str) -> str:
        """ARN of `kind/name`."""
        return f"arn:{self.partition}:glue:{self.region}:{self.account}:{resource}"


class Store(shared.Store[Scope]):
    """Below `<state>/glue`."""

    folder = "glue"
    scope_type = Scope


# The process's one store.
store = Store()
