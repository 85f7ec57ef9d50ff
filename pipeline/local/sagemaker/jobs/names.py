"""A job's name is taken once: of processing and transform jobs, whose words for it are the same."""

from __future__ import annotations

from pipeline.local.sagemaker.errors import ResourceInUse
from pipeline.local.sagemaker.store import Scope, store


def require_free(scope: Scope, kind: str, name: str, arn: str) -> None:
    """Raises ResourceInUse if there is a job of this kind and name."""
    if store.get(scope, kind, name) is not None:
        raise ResourceInUse(
            "Job name must be unique within an AWS account and region, and a job with this name already "
            f"exists ({arn})"
        )
