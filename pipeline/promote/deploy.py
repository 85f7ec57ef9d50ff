"""Deploying a version that exists, through the pipeline's own state machine; and whether it is what serves.

Promotion and rollback differ in which version and in who approves it; both end with the same look at the
endpoint. An endpoint that was rolled back is InService too, so only what it serves counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, told
from pipeline.errors import ApplyError, ExecutionError
from pipeline.execution import names
from pipeline.execution.start import Started, machine_arn
from pipeline.promote import objects, tested

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# The state that reads a version from the input (pipeline/steps/entrance.py). A machine without it would take
# the start for one of training.
ENTRANCE = "ReadPackage"
_ODD = re.compile(r"[^A-Za-z0-9._]+")
_NAME = names.MAX_LENGTH - len("-00000000-00")


@dataclass(frozen=True)
class Serving:
    """What the endpoint serves: the endpoint config, the version's ARN and number, its artifact and image."""

    config: str
    package: str
    version: int
    model_url: str
    sha256: str
    image: str


@dataclass(frozen=True)
class Running:
    """A run under way, the version that it was given (empty: none), and what it was started for."""

    arn: str
    name: str
    package: str
    why: str


def require_entrance(settings: Settings, clients: Clients) -> None:
    """Refuse a deployed state machine that cannot deploy a given version.

    Raises:
        ApplyError: it has no entrance for one, or is not deployed.
    """
    fix = f"pipeline apply {settings.name} -e {settings.environment_name}"
    with told(clients.target.name):
        try:
            machine = clients.stepfunctions.describe_state_machine(stateMachineArn=machine_arn(settings))
        except ClientError as error:
            if code(error) == "StateMachineDoesNotExist":
                raise ApplyError("it is not deployed", where=settings.stack_name, hint=fix) from error
            raise
    if ENTRANCE not in json.loads(machine["definition"]).get("States", {}):
        raise ApplyError(
            f"its state machine has no state {ENTRANCE}: it trains, and cannot deploy a version that exists",
            where=settings.stack_name,
            hint=f"put Entrance(settings) first in its definition, and {fix}",
        )


def running(settings: Settings, clients: Clients) -> list[Running]:
    """Runs under way, newest first."""
    with told(clients.target.name):
        return list(_running(settings, clients))


def _running(settings: Settings, clients: Clients) -> Iterator[Running]:
    pages = clients.stepfunctions.get_paginator("list_executions").paginate(
        stateMachineArn=machine_arn(settings), statusFilter="RUNNING"
    )
    for page in pages:
        for summary in page["executions"]:
            found = clients.stepfunctions.describe_execution(executionArn=summary["executionArn"])
            given = json.loads(found.get("input") or "{}").get("PACKAGE") or {}
            yield Running(
                summary["executionArn"],
                summary["name"],
                given.get("ModelPackageArn", ""),
                given.get("Why") or "a run",
            )


def start(
    settings: Settings, clients: Clients, package: str, why: str, *, given: bool, sha: str = ""
) -> Started:
    """Start the deployment of a version, or attach to the one under way.

    Args:
        package: the version's ARN, in this environment's group.
        why: such as `promotion v1.2.3`; also the beginning of the run's name.
        given: it is approved by whoever starts this; else the environment's settings decide who approves.
        sha: the commit it is for.
    """
    for known in running(settings, clients):
        if known.package == package:
            return Started(known.arn, known.name, {}, attached=True)
    data: dict[str, Any] = {
        "PACKAGE": {
            "ModelPackageArn": package,
            "Why": why,
            "Approval": "given" if given else "as-settings",
            # The watermark says which data was trained on here: this run looks at none.
            "Watermark": False,
        }
    }
    if sha:
        data["GIT_SHA"] = sha
    version = package.rpartition("/")[2]
    base = f"{_ODD.sub('-', why)[:_NAME].strip('-')}-{version}"
    arn = machine_arn(settings)
    with told(clients.target.name):
        taken: set[str] = set()
        while True:
            name = names.next_name(base, taken)
            try:
                made = clients.stepfunctions.start_execution(
                    stateMachineArn=arn, name=name, input=json.dumps(data)
                )
            except ClientError as error:
                # Names are for ever (90 days); the same one with the same input that still runs is no error.
                if code(error) != "ExecutionAlreadyExists":
                    raise
                taken.add(name)
                continue
            return Started(made["executionArn"], name, data, attached=False)


def now(settings: Settings, clients: Clients) -> Serving | None:
    """What the endpoint serves; None where it is not InService with one registered version."""
    with told(clients.target.name):
        try:
            config, package = tested.serving(settings, clients)
        except tested.NotTested:
            return None
        container = package["InferenceSpecification"]["Containers"][0]
        url = str(container["ModelDataUrl"])
        return Serving(
            config=config,
            package=str(package["ModelPackageArn"]),
            version=int(package.get("ModelPackageVersion", 0)),
            model_url=url,
            sha256=objects.digest(clients, objects.Place.of(url)),
            image=str(container["Image"]),
        )


def require(settings: Settings, clients: Clients, package: str, sha256: str = "") -> Serving:
    """What the endpoint serves, if that is `package` with an artifact of `sha256`.

    Raises:
        ExecutionError: it serves something else, whatever the run said, or does not serve.
    """
    where = f"endpoint {settings.stack_name}"
    status = f"pipeline status {settings.name} -e {settings.environment_name}"
    found = now(settings, clients)
    if found is None:
        raise ExecutionError("it is not InService with a registered version", where=where, hint=status)
    if found.package != package:
        raise ExecutionError(
            f"it serves {found.package} (config {found.config}), requested was {package}: the deployment was "
            "rolled back, or another one replaced it",
            where=where,
            hint=status,
        )
    if sha256 and found.sha256 != sha256:
        raise ExecutionError(
            f"the artifact of what it serves is sha256 {found.sha256[:16] or 'gone'}..., promoted was "
            f"{sha256[:16]}...",
            where=found.model_url,
            hint=f"it was replaced after the promotion; {status}",
        )
    return found
