"""SageMaker's records, and whose request it is."""

from __future__ import annotations

from pipeline.local.api import store as shared
from pipeline.local.api.store import Record

__all__ = ["Record", "Scope", "Store", "store"]


class Scope(shared.Scope):
    """An account and region, with SageMaker's ARNs in it."""

    def arn(self, resource: str) -> str:
        """ARN of `kind/name`. SageMaker writes names in ARNs in small letters, but for model packages."""
        kind, _, name = resource.partition("/")
        if not kind.startswith("model-package"):
            name = name.lower()
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account}:{kind}/{name}"


class Store(shared.Store[Scope]):
    """Below `<state>/sagemaker`."""

    folder = "sagemaker"
    scope_type = Scope


# The process's one store.
store = Store()
