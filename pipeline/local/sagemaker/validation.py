"""Requests and responses by botocore's model of SageMaker: `pipeline.local.api.validation`, bound to it."""

from __future__ import annotations

from typing import Any

from pipeline.local.api import validation
from pipeline.local.api.validation import check_shape, decode, shaped_by

__all__ = [
    "check",
    "check_shape",
    "decode",
    "faults",
    "model",
    "operations",
    "parse",
    "shaped",
    "shaped_by",
]

_SERVICE = "sagemaker"


def model(service: str = _SERVICE) -> Any:
    """botocore's model of SageMaker, or of another service."""
    return validation.model(service)


def operations() -> frozenset[str]:
    """Names of all operations SageMaker has."""
    return validation.operations(_SERVICE)


def parse(operation: str, body: bytes) -> dict[str, Any]:
    """decode() and check() in one; raises as they do."""
    return check(operation, decode(body))


def check(operation: str, raw: Any) -> dict[str, Any]:
    """The request's members as Python values, checked; timestamps as epoch seconds (float)."""
    return validation.check(_SERVICE, operation, raw)


def shaped(operation: str, response: dict[str, Any]) -> dict[str, Any]:
    """The response with only the members of the operation's output shape; None means absent."""
    return validation.shaped(_SERVICE, operation, response)


def faults(operation: str, response: dict[str, Any]) -> list[str]:
    """What is wrong with a response by the output shape: for tests. Empty when nothing is."""
    return validation.faults(_SERVICE, operation, response)
