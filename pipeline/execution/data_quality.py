"""What the gate before the training found in a run, read from its record and the report in S3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, told
from pipeline.errors import ExecutionError
from pipeline.execution import start
from pipeline.execution.judged import KEY
from pipeline.execution.passed_on import passed_on

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# So many runs are looked at for one whose data was judged.
LOOKED_AT = 50


def find(settings: Settings, clients: Clients, which: str | None = None) -> dict[str, Any]:
    """The verdict on a run's data.

    Args:
        which: an execution's ARN or name, or `last`; None: the newest whose data was judged.

    Returns:
        execution, status, and the gate's passed, reason, failed, notes, report, profile, baseline; `results`
        are all rules from the report, None where that is gone.

    Raises:
        ExecutionError: there is no such run, or nothing was judged in it.
    """
    with told(clients.target.name):
        if which is not None:
            one = start.find(settings, clients, which)
            found = _verdict(clients, one.arn)
            if found is None:
                raise ExecutionError(
                    "no data was judged in this run",
                    where=one.name,
                    hint=f"see how far it went: pipeline run {settings.name} --execution {one.name}",
                )
            return {**found, "results": _results(clients, found["report"])}
        for summary in start.last(settings, clients, LOOKED_AT):
            found = _verdict(clients, summary["executionArn"])
            if found is not None:
                return {**found, "results": _results(clients, found["report"])}
    raise ExecutionError("no run's data was judged yet", where=settings.stack_name, hint=_judged_by(settings))


def _judged_by(settings: Settings) -> str:
    """Who looks at the data, where nobody has left a report of it."""
    programs = [f"{each.program}" for each in settings.pipeline.transforms.values() if each.program]
    if programs and len(programs) == len(settings.pipeline.transforms):
        return (
            f"the container's own {', '.join(programs)} refuses bad data, and says why: "
            f"pipeline logs {settings.name}"
        )
    return "put QualityGate(settings, ...) behind the transforms: docs/explanation/data-quality.md"


def failed(clients: Clients, arn: str) -> list[str]:
    """One sentence for each rule that a run's data broke; [] where none is known."""
    with told(clients.target.name):
        found = _verdict(clients, arn)
    return list(found["failed"]) if found else []


def bad_rows(clients: Clients, found: dict[str, Any]) -> Iterator[str]:
    """Every row in quarantine as a line of JSON: the row, `_reason`, `_line`, and in which `_frame` it was.

    Raises:
        ExecutionError: the report of this run's data is gone, and with it where they lie.
    """
    if found["results"] is None:
        raise ExecutionError("the report is gone", where=found["report"])
    places = {
        each["quarantine"]: "/".join(part for part in (each["transform"], each["frame"]) if part)
        for each in found["results"]
        if each["quarantine"]
    }
    with told(clients.target.name):
        for place, frame in sorted(places.items()):
            split = urlsplit(place)
            pages = clients.s3.get_paginator("list_objects_v2").paginate(
                Bucket=split.netloc, Prefix=split.path[1:]
            )
            for key in (item["Key"] for page in pages for item in page.get("Contents", [])):
                for line in clients.s3.get_object(Bucket=split.netloc, Key=key)["Body"].iter_lines():
                    if line:
                        yield json.dumps({"_frame": frame, **json.loads(line)}, ensure_ascii=False)


def _verdict(clients: Clients, arn: str) -> dict[str, Any] | None:
    data = next(passed_on(clients, arn, KEY), None)
    if data is None:
        return None
    described = clients.stepfunctions.describe_execution(executionArn=arn)
    return {"execution": described["name"], "status": described["status"], **data[KEY]}


def _results(clients: Clients, uri: str) -> list[dict[str, Any]] | None:
    place = urlsplit(uri)
    try:
        body = clients.s3.get_object(Bucket=place.netloc, Key=place.path[1:])["Body"].read()
    except ClientError as error:
        if code(error) not in {"NoSuchKey", "NoSuchBucket", "AccessDenied"}:
            raise
        return None
    found: list[dict[str, Any]] = json.loads(body)["results"]
    return found
