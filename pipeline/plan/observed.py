"""What the target knows that a plan's report wants: what a run would skip, how long jobs took, who serves.

Everything here only informs. What may not be read, or is not there, is said so and stops nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cost import Duration, state_machine
from pipeline.names import Names
from pipeline.plan import functions, skips
from pipeline.plan import template as templates
from pipeline.plan.skips import Forecast

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.plan.champion import Champion
    from pipeline.plan.model import Plan
    from pipeline.settings.model import Settings

# The kind of a job -> how it is listed, described, and where its times stand.
TIMES = {
    "training": ("list_training_jobs", "describe_training_job", "TrainingJob", "Training"),
    "processing": ("list_processing_jobs", "describe_processing_job", "ProcessingJob", "Processing"),
}
SERVING = "the serving model"


@dataclass(frozen=True)
class Facts:
    """What was found.

    Args:
        durations: by kind of job, or name of a Glue job: how long the last one of this stack that ended well
            took.
        champion: the model that serves now; None if none does.
        serving: whether it was found out what serves.
        unknown: what could not be found out, in words.
    """

    forecast: Forecast = field(default_factory=Forecast)
    durations: Mapping[str, Duration] = field(default_factory=dict)
    champion: Champion | None = None
    serving: bool = True
    unknown: tuple[str, ...] = ()


def observe(plan: Plan, settings: Settings, clients: Clients, now: datetime | None = None) -> Facts:
    """Ask the target, several questions at a time."""
    from pipeline.plan import champion

    moment = now or datetime.now(UTC)
    unknown: list[str] = []
    # Making a client reads its model from disk, which threads only get in each other's way with.
    for service in ("sagemaker", "s3", "ssm", "ecr", *(["glue"] if _glue_jobs(settings) else [])):
        getattr(clients, service)

    def ask(what: str, question: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return question()
        except Exception as error:  # noqa: BLE001 - a report is worth having without one of its facts
            unknown.append(f"{what}: {_why(error)}")
            return otherwise

    with ThreadPoolExecutor(max_workers=4) as pool:
        told = pool.submit(
            ask, "what a run would skip", partial(forecast, plan, settings, clients, moment), None
        )
        took = {
            kind: pool.submit(
                ask, f"how long {kind} takes", partial(_duration, settings, clients, kind), None
            )
            for kind in TIMES
        }
        took |= {
            job: pool.submit(ask, f"how long {job} takes", partial(_glue_duration, clients, job), None)
            for job in _glue_jobs(settings)
        }
        serving = pool.submit(ask, SERVING, partial(champion.find, settings, clients), None)
        durations = {kind: found for kind, future in took.items() if (found := future.result())}
        said = told.result()
        return Facts(
            said if said is not None else Forecast(why_not=next(iter(unknown), "")),
            durations,
            champion=serving.result(),
            serving=not any(text.startswith(SERVING) for text in unknown),
            unknown=tuple(sorted(unknown)),
        )


def _glue_jobs(settings: Settings) -> list[str]:
    transforms = sorted(settings.pipeline.transforms.items())
    return [Names.of(settings).transform(name) for name, each in transforms if each.script]


def forecast(plan: Plan, settings: Settings, clients: Clients, now: datetime) -> Forecast:
    """What CheckData and FindReusable would answer to a run that starts now, after this plan was applied."""
    template = templates.filled(
        json.loads(plan.pipeline_stack.template), dict(plan.pipeline_stack.parameters)
    )
    asl = state_machine(template)
    names = Names.of(settings)
    environment = _environment(template, names.function("check_data"))
    if asl is None or environment is None:
        return Forecast(why_not="the pipeline does not ask check_data")
    if plan.account_stack.operation in ("create", "recreate"):
        return Forecast(why_not="nothing is deployed yet, so there is no data and no model either")
    check = functions.load(Path(settings.root), "check_data", environment, clients)
    arn = names.state_machine_arn.replace(":stateMachine:", ":execution:") + ":plan"
    answer = check.handler({"input": {}, "start_time": now.isoformat(), "execution_arn": arn}, None)
    if plan.pipeline_stack.operation in ("create", "recreate"):
        # No registry to look into yet: all of it is made.
        return Forecast(checked=answer["run"])
    payload = skips.finding(asl)
    environment = _environment(template, names.function("find_reusable"))
    if not answer["run"]["new"] or not plan.image.digest or payload is None or environment is None:
        return Forecast(checked=answer["run"])
    find = functions.load(Path(settings.root), "find_reusable", environment, clients)
    given = {key: value for key, value in payload.items() if not key.endswith(".$")}
    found = find.find({**given, "state": answer, "execution_input": {}})
    return Forecast(checked=answer["run"], reuse=found["reuse"])


def _environment(template: Mapping[str, Any], function: str) -> dict[str, str] | None:
    for resource in (template.get("Resources") or {}).values():
        properties = resource.get("Properties") or {}
        if resource["Type"] == "AWS::Lambda::Function" and properties.get("FunctionName") == function:
            return {k: str(v) for k, v in properties.get("Environment", {}).get("Variables", {}).items()}
    return None


def _duration(settings: Settings, clients: Clients, kind: str) -> Duration | None:
    listing, describing, noun, verb = TIMES[kind]
    begins = f"{settings.stack_name}-"
    found = getattr(clients.sagemaker, listing)(
        NameContains=begins,
        StatusEquals="Completed",
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=10,
    )[f"{noun}Summaries"]
    name = next((s[f"{noun}Name"] for s in found if s[f"{noun}Name"].startswith(begins)), None)
    if name is None:
        return None
    job = getattr(clients.sagemaker, describing)(**{f"{noun}Name": name})
    begun, ended = job.get(f"{verb}StartTime"), job.get(f"{verb}EndTime")
    if not (begun and ended):
        return None
    # Jobs of a kind differ: whoever reads the number of a step that never ran must see whose it is.
    return Duration((ended - begun).total_seconds(), f"as {name} took, the last {kind} job that ended well")


def _glue_duration(clients: Clients, job: str) -> Duration | None:
    """Seconds that the last run took that ended well; without waiting for workers, which nobody pays for."""
    try:
        runs = clients.glue.get_job_runs(JobName=job, MaxResults=20)["JobRuns"]
    except clients.glue.exceptions.EntityNotFoundException:
        return None
    done = [run for run in runs if run["JobRunState"] == "SUCCEEDED" and run.get("ExecutionTime")]
    last = max(done, key=lambda run: run["StartedOn"], default=None)
    return Duration(float(last["ExecutionTime"]), f"as {last['Id']} took") if last else None


def _why(error: Exception) -> str:
    from botocore.exceptions import ClientError

    from pipeline.aws.errors import code, message

    if isinstance(error, ClientError):
        return f"{code(error)}: {message(error)}"[:300]
    return f"{type(error).__name__}: {error}"[:300]
