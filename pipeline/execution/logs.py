"""Where a run's states write their logs, and the lines there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, told
from pipeline.execution.history import BUILD, Timeline, Visit

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# The log groups of jobs, and what comes after a job's name in those of its streams: of SageMaker a slash and
# a host (another job's name may begin alike), of a tuning job its training job's number, of Glue nothing.
JOB_GROUPS = {
    "training job": (("/aws/sagemaker/TrainingJobs",), "/"),
    "tuning job": (("/aws/sagemaker/TrainingJobs",), "-"),
    "processing job": (("/aws/sagemaker/ProcessingJobs",), "/"),
    "transform job": (("/aws/sagemaker/TransformJobs",), "/"),
    # What a script prints, and what Spark says.
    "Glue run": (("/aws-glue/jobs/output", "/aws-glue/jobs/error"), ""),
}
ENDPOINT_GROUP = "/aws/sagemaker/Endpoints/"
# A function's last lines come a little after its answer; the clocks of services differ by less.
EARLY_MS, LATE_MS = 20, 1_500


# So many streams FilterLogEvents takes at once; a job has one a host.
MAX_STREAMS = 100


@dataclass(frozen=True)
class Source:
    """One place with lines of a run: a log group, and what narrows it down. Times in epoch milliseconds."""

    step: str
    group: str
    stream_prefix: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Line:
    """One line of a log."""

    step: str
    time: int
    stream: str
    text: str
    event_id: str

    def as_dict(self) -> dict[str, Any]:
        return {"step": self.step, "time_ms": self.time, "stream": self.stream, "text": self.text}


def sources_of(visit: Visit, clients: Clients) -> list[Source]:
    """Where the jobs and the function of one visit log."""
    found = [
        Source(visit.name, group, f"{name}{after}")
        for kind, name in visit.jobs
        if kind in JOB_GROUPS
        for groups, after in [JOB_GROUPS[kind]]
        for group in groups
    ]
    for project, _, build in (name.partition(":") for kind, name in visit.jobs if kind == BUILD):
        found.append(Source(visit.name, f"/aws/codebuild/{project}", build))
    if visit.function:
        start = _ms(visit.entered) - EARLY_MS
        end = _ms(visit.exited) + LATE_MS if visit.exited else None
        found.append(Source(visit.name, function_group(clients, visit.function), "", start, end))
    return found


def sources(timeline: Timeline, clients: Clients, step: str | None) -> list[Source]:
    """Of all visits, or of those of the state `step` (in any case of letters)."""
    found = [source for visit in timeline.visits for source in sources_of(visit, clients)]
    return [s for s in dict.fromkeys(apart(found)) if step is None or s.step.lower() == step.lower()]


def apart(found: list[Source]) -> list[Source]:
    """States that call the same function in turn share its log group: each one ends where the next begins."""
    for place, source in enumerate(found):
        later = [s.start for s in found[place + 1 :] if s.group == source.group and s.start is not None]
        if source.end is not None and later and source.end >= later[0]:
            found[place] = replace(source, end=later[0] - 1)
    return found


def endpoint_source(settings: Settings, since: datetime | None = None) -> Source:
    """What the endpoint's containers print (from a time on)."""
    return Source("endpoint", f"{ENDPOINT_GROUP}{settings.stack_name}", start=_ms(since) if since else None)


def batch_sources(job: str) -> list[Source]:
    """What the containers of a batch print, and what became of each object (its `data-log`)."""
    groups, after = JOB_GROUPS["transform job"]
    return [Source("batch", group, f"{job}{after}") for group in groups]


def machine_source(settings: Settings, clients: Clients, arn: str, machine_arn: str) -> Source | None:
    """The state machine's own log, if it has one."""
    with told(clients.target.name):
        machine = clients.stepfunctions.describe_state_machine(stateMachineArn=machine_arn)
        run = clients.stepfunctions.describe_execution(executionArn=arn)
    for destination in (machine.get("loggingConfiguration") or {}).get("destinations", []):
        group = (destination.get("cloudWatchLogsLogGroup") or {}).get("logGroupArn", "")
        if group:
            name = group.split(":log-group:", 1)[-1].removesuffix(":*")
            end = _ms(run["stopDate"]) + LATE_MS if run.get("stopDate") else None
            return Source(settings.stack_name, name, "", _ms(run["startDate"]) - EARLY_MS, end)
    return None


def function_group(clients: Clients, function: str) -> str:
    """A function's log group: the configured one, else Lambda's own place."""
    with told(clients.target.name):
        try:
            found = clients.lambda_.get_function_configuration(FunctionName=function)
        except ClientError as error:
            if code(error) != "ResourceNotFoundException":
                raise
            found = {}
    return str((found.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{function}")


def read(clients: Clients, source: Source, after: int | None = None) -> list[Line]:
    """Lines of a source, oldest first; nothing where the group is not there (yet).

    Args:
        after: only lines from this time on, epoch milliseconds.
    """
    return list(_read(clients, source, after))


def tail(clients: Clients, source: Source, count: int) -> list[Line]:
    """The last `count` lines of a source."""
    return read(clients, source)[-count:]


def _read(clients: Clients, source: Source, after: int | None) -> Iterator[Line]:
    request: dict[str, Any] = {"logGroupName": source.group}
    start = max((t for t in (source.start, after) if t is not None), default=None)
    if start is not None:
        request["startTime"] = start
    if source.end is not None:
        request["endTime"] = source.end
    with told(clients.target.name):
        try:
            if source.stream_prefix:
                request["logStreamNames"] = _streams(clients, source)
                if not request["logStreamNames"]:
                    return
            for page in clients.logs.get_paginator("filter_log_events").paginate(**request):
                for event in page["events"]:
                    yield Line(
                        source.step,
                        event["timestamp"],
                        event.get("logStreamName", ""),
                        event["message"].rstrip("\n"),
                        event.get("eventId", ""),
                    )
        except ClientError as error:
            if code(error) != "ResourceNotFoundException":
                raise


def _streams(clients: Clients, source: Source) -> list[str]:
    """The streams of one job."""
    pages = clients.logs.get_paginator("describe_log_streams").paginate(
        logGroupName=source.group, logStreamNamePrefix=source.stream_prefix
    )
    found = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    return found[:MAX_STREAMS]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
