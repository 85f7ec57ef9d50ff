"""What a rendered pipeline uses, read out of its template: jobs, endpoint, functions, transitions. Pure.

Read from templates and not from settings, so that what is deployed today is counted by the same rule.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

# Logical id of the state machine that runs the pipeline.
MACHINE = "StateMachine"
SCHEDULE = "Schedule"
# What is before these in the ids of what compares requests (pipeline/render/monitor.py).
MONITOR = "Monitor"
# Step Functions' integrations that start a job -> what SageMaker bills it as.
JOBS = {
    "sagemaker:createTrainingJob.sync": "training",
    "sagemaker:createProcessingJob.sync": "processing",
    "sagemaker:createTransformJob.sync": "transform",
    "sagemaker:createHyperParameterTuningJob.sync": "training",
    "glue:startJobRun.sync": "glue",
    "codebuild:startBuild.sync": "build",
}
# What a worker of Glue is billed as: https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-jobs-job.html
DPUS = {"G.1X": 1, "G.2X": 2, "G.4X": 4, "G.8X": 8}


@dataclass(frozen=True)
class Job:
    """One job of a run.

    Args:
        instance_type: of an instance, or of a worker of Glue.
        limit_seconds: the longest it may run; None where the template does not say.
        name: of a Glue job, whose runs are timed by it.
        times: how many such jobs a search runs at most; 1 for what is no search.
    """

    state: str
    kind: str
    instance_type: str
    count: int
    volume_gb: float
    limit_seconds: int | None
    spot: bool = False
    name: str = ""
    times: int = 1

    @property
    def timed_by(self) -> str:
        """By what an earlier duration is known: the kind of job, or the Glue job."""
        return self.name or self.kind


@dataclass(frozen=True)
class Endpoint:
    """What the endpoint runs on: instances (by scaling from `minimum` to `maximum`), or serverless."""

    instance_type: str
    minimum: int
    maximum: int
    serverless_memory_mb: int = 0
    provisioned_concurrency: int = 0


@dataclass(frozen=True)
class Usage:
    """What one pipeline uses.

    Args:
        functions: memory in MB of each Lambda call on the longest way of a run.
        transitions: state transitions on that way.
        schedule: the expression, empty where the schedule is off or absent.
        comparison: what a comparison of requests uses, by its own schedule; None without [monitor].
    """

    jobs: tuple[Job, ...]
    endpoints: tuple[Endpoint, ...]
    functions: tuple[int, ...]
    transitions: int
    alarms: int
    schedule: str
    comparison: Usage | None = None


def state_machine(template: Mapping[str, Any]) -> dict[str, Any] | None:
    """The pipeline's own state machine's definition, not its monitor's; None without one.

    Args:
        template: with parameters filled in.
    """
    resources = template.get("Resources") or {}
    # The pipeline's is called so (pipeline/render/machine.py).
    for resource in (resources.get(MACHINE), *resources.values()):
        if resource and resource["Type"] == "AWS::StepFunctions::StateMachine":
            return _definition(resource)
    return None


def _definition(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    text = resource["Properties"].get("DefinitionString")
    if isinstance(text, str):
        found: dict[str, Any] = json.loads(text)
        return found
    given = resource["Properties"].get("Definition")
    return dict(given) if isinstance(given, Mapping) else None


def usage(template: Mapping[str, Any]) -> Usage:
    """What the pipeline of a template (with parameters filled in) uses."""
    asl = state_machine(template) or {"StartAt": "", "States": {}}
    states = dict(_states(asl))
    resources = (template.get("Resources") or {}).values()
    memory = {
        str(r["Properties"].get("FunctionName")): int(r["Properties"].get("MemorySize", 128))
        for r in resources
        if r["Type"] == "AWS::Lambda::Function"
    }
    alarms = sum(r["Type"] == "AWS::CloudWatch::Alarm" for r in resources)
    own = _machine_usage(template, asl, memory, tuple(_endpoints(states, template)), alarms, "")
    monitor = (template.get("Resources") or {}).get(f"{MONITOR}{MACHINE}")
    compares = _definition(monitor) if monitor else None
    if compares is None:
        return own
    return replace(own, comparison=_machine_usage(template, compares, memory, (), 0, MONITOR))


def _machine_usage(
    template: Mapping[str, Any],
    asl: Mapping[str, Any],
    memory: Mapping[str, int],
    endpoints: tuple[Endpoint, ...],
    alarms: int,
    prefix: str,
) -> Usage:
    """Of one state machine; `prefix` is before the id of its schedule."""
    states, way = dict(_states(asl)), longest_way(asl)
    jobs = sorted(
        _jobs(states, template), key=lambda job: way.index(job.state) if job.state in way else len(way)
    )
    clock = ((template.get("Resources") or {}).get(f"{prefix}{SCHEDULE}") or {}).get("Properties") or {}
    return Usage(
        tuple(jobs),
        endpoints,
        tuple(m for name in way if (m := _function(states[name], memory))),
        len(way),
        alarms,
        clock.get("ScheduleExpression", "") if clock.get("State") != "DISABLED" else "",
    )


def longest_way(asl: Mapping[str, Any]) -> list[str]:
    """The states of the longest way through that ends well, no state twice; both branches of a Parallel.

    What catches an error is not on it, nor is what ends in Fail.
    """
    states: Mapping[str, Any] = asl["States"]
    best: dict[str, list[str] | None] = {}
    open_now: set[str] = set()

    def way(name: str) -> list[str] | None:
        if name in best:
            return best[name]
        if name in open_now or name not in states:
            return None  # a loop adds nothing to what is counted once
        open_now.add(name)
        state = states[name]
        ends = state["Type"] == "Succeed" or state.get("End")
        ways = [found for following in _next(state) if (found := way(following)) is not None]
        open_now.discard(name)
        rest: list[str] | None = max(ways, key=len) if ways else ([] if ends else None)
        if rest is not None and state["Type"] != "Fail":
            best[name] = [name, *(n for inner in _inside(state) for n in longest_way(inner)), *rest]
            return best[name]
        best[name] = None
        return None

    return way(asl["StartAt"]) or []


def _next(state: Mapping[str, Any]) -> Iterator[str]:
    yield from (rule["Next"] for rule in state.get("Choices", []))
    yield from (state[key] for key in ("Default", "Next") if key in state)


def _inside(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    inner = state.get("ItemProcessor") or state.get("Iterator")
    return [*state.get("Branches", []), *([inner] if inner else [])]


def _states(asl: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, state in asl["States"].items():
        yield name, state
        for inner in _inside(state):
            yield from _states(inner)


def _jobs(states: Mapping[str, Mapping[str, Any]], template: Mapping[str, Any]) -> Iterator[Job]:
    glue = {str(p.get("Name")): p for p in _properties(template, "AWS::Glue::Job")}
    builds = {str(p.get("Name")): p for p in _properties(template, "AWS::CodeBuild::Project")}
    for name, state in states.items():
        kind = JOBS.get(str(state.get("Resource", "")).partition(":states:::")[2])
        if kind is None:
            continue
        whole = state.get("Parameters") or {}
        if kind == "glue":
            yield _glue_job(name, glue, whole)
            continue
        if kind == "build":
            yield _build(name, builds.get(str(whole.get("ProjectName", "")), {}))
            continue
        p = whole.get("TrainingJobDefinition") or whole
        limits = (whole.get("HyperParameterTuningJobConfig") or {}).get("ResourceLimits") or {}
        cluster = (
            p.get("ResourceConfig")
            or p.get("TransformResources")
            or (p.get("ProcessingResources") or {}).get("ClusterConfig")
            or {}
        )
        yield Job(
            name,
            kind,
            str(cluster.get("InstanceType", "")),
            _whole(cluster.get("InstanceCount")) or 1,
            float(_whole(cluster.get("VolumeSizeInGB")) or 0),
            _whole((p.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")),
            p.get("EnableManagedSpotTraining") is True,
            times=_whole(limits.get("MaxNumberOfTrainingJobs")) or 1,
        )


def _glue_job(state: str, known: Mapping[str, Mapping[str, Any]], parameters: Mapping[str, Any]) -> Job:
    """A run's own size goes before that of its job."""
    name = str(parameters.get("JobName", ""))
    size = {**known.get(name, {}), **parameters}
    minutes = _whole(size.get("Timeout"))
    return Job(
        state,
        "glue",
        str(size.get("WorkerType", "")),
        _whole(size.get("NumberOfWorkers")) or 1,
        0.0,
        minutes * 60 if minutes else None,
        name=name,
    )


def _build(state: str, project: Mapping[str, Any]) -> Job:
    """Of the image: none where it is there."""
    machine = str((project.get("Environment") or {}).get("ComputeType", ""))
    minutes = _whole(project.get("TimeoutInMinutes"))
    return Job(state, "build", machine, 1, 0.0, minutes * 60 if minutes else None)


def _properties(template: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    for resource in (template.get("Resources") or {}).values():
        if resource["Type"] == kind:
            yield resource.get("Properties") or {}


def _endpoints(states: Mapping[str, Mapping[str, Any]], template: Mapping[str, Any]) -> Iterator[Endpoint]:
    scaled = _scaling(template)
    for state in states.values():
        if "CreateEndpointConfig" not in _called(state):
            continue
        for variant in (state.get("Parameters") or {}).get("ProductionVariants") or []:
            serverless = variant.get("ServerlessConfig") or {}
            count = _whole(variant.get("InitialInstanceCount")) or 0
            low, high = scaled or (count, count)
            yield Endpoint(
                str(variant.get("InstanceType", "")),
                low,
                max(low, high),
                _whole(serverless.get("MemorySizeInMB")) or 0,
                _whole(serverless.get("ProvisionedConcurrency")) or 0,
            )
        return


def _called(state: Mapping[str, Any]) -> str:
    action = str(state.get("Resource", "")).rpartition(":")[2]
    return action[:1].upper() + action[1:]


def _scaling(template: Mapping[str, Any]) -> tuple[int, int] | None:
    """Bounds of the endpoint's scaling, whether the template or a state registers them."""
    for resource in (template.get("Resources") or {}).values():
        properties = resource.get("Properties") or {}
        if resource["Type"] == "AWS::ApplicationAutoScaling::ScalableTarget":
            low, high = _whole(properties.get("MinCapacity")), _whole(properties.get("MaxCapacity"))
            if low is not None and high is not None:
                return low, high
    for _, state in _states(state_machine(template) or {"States": {}}):
        if re.search(r":registerScalableTarget$", str(state.get("Resource", ""))):
            p = state.get("Parameters") or {}
            low, high = _whole(p.get("MinCapacity")), _whole(p.get("MaxCapacity"))
            if low is not None and high is not None:
                return low, high
    return None


def _function(state: Mapping[str, Any], memory: Mapping[str, int]) -> int:
    """Memory in MB of the Lambda that a state calls; 0 if it calls none."""
    resource = str(state.get("Resource", ""))
    if ":lambda:invoke" not in resource and ":function:" not in resource:
        return 0
    name = str((state.get("Parameters") or {}).get("FunctionName") or resource)
    name = name.partition(":function:")[2] or name
    return memory.get(name, 128)


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return value if isinstance(value, int) else None
