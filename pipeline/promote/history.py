"""What a pipeline's finished runs deployed: the only record of what served, and passed its smoke test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code
from pipeline.execution.start import machine_arn

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# How many runs are looked at; Step Functions forgets them after 90 days.
LOOKED_AT = 200


@dataclass(frozen=True)
class Run:
    """A run that succeeded.

    Args:
        started: when, with its zone.
        config, package: what it deployed and tested: endpoint config, version's ARN; empty for nothing new.
        given: the version was given to it (promotion, rollback), so it says nothing of what Git wants.
    """

    arn: str
    started: Any
    config: str
    package: str
    given: bool


def runs(settings: Settings, clients: Clients) -> Iterator[Run]:
    """Runs that succeeded, newest first, as far back as they are kept and LOOKED_AT goes."""
    pages = clients.stepfunctions.get_paginator("list_executions").paginate(
        stateMachineArn=machine_arn(settings), statusFilter="SUCCEEDED"
    )
    looked = 0
    try:
        for page in pages:
            for summary in page["executions"]:
                found = clients.stepfunctions.describe_execution(executionArn=summary["executionArn"])
                yield _run(summary, found)
                looked += 1
                if looked == LOOKED_AT:
                    return
    except ClientError as error:
        if code(error) != "StateMachineDoesNotExist":
            raise


def _run(summary: dict[str, Any], found: dict[str, Any]) -> Run:
    output, given = json.loads(found.get("output") or "{}"), json.loads(found.get("input") or "{}")
    # The machine's last states come after the smoke test, and fail without its result.
    tested = bool(output.get("smoke")) and output.get("endpoint", {}).get("EndpointStatus") == "InService"
    config = (output.get("requested") or {}).get("EndpointConfigName", "") if tested else ""
    package = (output.get("package") or {}).get("ModelPackageArn", "") if tested else ""
    return Run(summary["executionArn"], summary["startDate"], config, package, "PACKAGE" in given)
