"""A conformance test of SageMaker's container contract, through which any image can be put."""

from __future__ import annotations

from pipeline.conformance.model import Clause, Result
from pipeline.conformance.registry import clauses, contract_page
from pipeline.conformance.runner import examine, failed
from pipeline.conformance.source import Given, of_pipeline, with_given
from pipeline.conformance.subject import Channel, Request, Subject, Waits

__all__ = [
    "Channel",
    "Clause",
    "Given",
    "Request",
    "Result",
    "Subject",
    "Waits",
    "clauses",
    "contract_page",
    "examine",
    "failed",
    "of_pipeline",
    "with_given",
]
