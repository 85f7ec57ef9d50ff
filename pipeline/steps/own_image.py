"""The pipeline's own image where only the run knows its digest: because the run itself has built it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.steps.block import IMAGE
from pipeline.steps.sdk import State

# What Build leaves: the image by digest.
URI = "$.image.uri"


def late(states: Iterable[State]) -> None:
    """Let these tasks take the image out of the run's data instead of the stack's parameter."""
    for state in states:
        fields = getattr(state, "fields", None)
        if isinstance(fields, dict) and isinstance(fields.get("parameters"), dict):
            fields["parameters"] = _late(fields["parameters"])


def _late(value: Any) -> Any:
    if isinstance(value, dict):
        return {f"{k}.$" if v == IMAGE else k: URI if v == IMAGE else _late(v) for k, v in value.items()}
    return [_late(item) for item in value] if isinstance(value, list) else value
