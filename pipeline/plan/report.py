"""A plan, told: what its change means for workflow, rights, skips and cost. A value; pure but for prices.

report = build(plan, facts)          facts: pipeline.plan.observed, or Facts() where nobody can be asked
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline import cost
from pipeline.plan import access, graph, quality, skips
from pipeline.plan import template as templates
from pipeline.plan.access import HolderChange
from pipeline.plan.champion import Champion
from pipeline.plan.graph import GraphChange
from pipeline.plan.model import Plan, StackAction
from pipeline.plan.observed import Facts
from pipeline.plan.quality import Rule
from pipeline.plan.skips import StepForecast


@dataclass(frozen=True)
class Smoke:
    """A whole run on sample data, in a place of its own.

    Args:
        status: SUCCEEDED, or how else it ended; empty if it could not be run.
        seconds: of the run; `total` with everything around it.
        metrics: of the held-out sample, by name.
        gate: one sentence a rule, and what came of it.
        approved: by the gate.
        error: why it did not succeed.
    """

    status: str
    seconds: float
    total: float
    metrics: Mapping[str, float]
    gate: tuple[tuple[str, bool], ...] = ()
    approved: bool = False
    error: str = ""
    answer: str = ""


@dataclass(frozen=True)
class Expected:
    """How long the jobs of the next run will take, together, in seconds.

    Args:
        measured: by the last jobs of each kind; None where one of them has no earlier one.
        limit: at most, by the time limits of the template; None where a job has none.
        whole: how long the run took that made the model that serves now.
    """

    jobs: tuple[str, ...]
    measured: float | None
    limit: float | None
    whole: float | None


@dataclass(frozen=True)
class Report:
    """What a reviewer wants to know beside the resources that change.

    Args:
        asl_before, asl_after: the workflows, for the picture.
        cost_before: of what is deployed; None where nothing is.
        unknown: what could not be found out, in words.
    """

    graph: GraphChange
    asl_before: dict[str, Any] | None
    asl_after: dict[str, Any]
    access: tuple[HolderChange, ...]
    steps: tuple[StepForecast, ...]
    cost_before: cost.Estimate | None
    cost_after: cost.Estimate
    region: str
    expected: Expected
    champion: Champion | None = None
    serving: bool = True
    smoke: Smoke | None = None
    unknown: tuple[str, ...] = ()
    quality: tuple[Rule, ...] = ()

    @property
    def wider(self) -> int:
        """How many facts about rights a reviewer should look at first."""
        return sum(change.wider for holder in self.access for change in holder.changes)

    def as_dict(self) -> dict[str, Any]:
        """As JSON data; the workflows themselves are in the plan's templates."""
        found = {key: value for key, value in self.__dict__.items() if not key.startswith(("asl_", "cost_"))}
        data = {
            key: asdict(value) if hasattr(value, "__dataclass_fields__") else value
            for key, value in found.items()
        }
        for key in ("access", "steps", "quality"):
            data[key] = [asdict(item) for item in found[key]]
        data["graph"]["words"] = graph.words(self.graph)
        data["access_words"] = access.words(self.access)
        data["cost"] = {"before": _estimate(self.cost_before), "after": _estimate(self.cost_after)}
        return data


def build(plan: Plan, facts: Facts, smoke: Smoke | None = None) -> Report:
    """The report of a plan."""
    before, after = _templates(plan.pipeline_stack)
    account_before, account_after = _templates(plan.account_stack)
    asl_before = cost.state_machine(before) if before else None
    asl_after = cost.state_machine(after) or {"StartAt": "", "States": {}}
    prices = cost.of(plan.region)
    holders = access.compare(account_before, account_after) + access.compare(before, after)
    steps = skips.steps(asl_after, plan.image, facts.forecast)
    return Report(
        graph.compare(asl_before, asl_after),
        asl_before,
        asl_after,
        holders,
        steps,
        _cost(before, prices, facts) if before else None,
        _cost(after, prices, facts),
        plan.region,
        _expected(after, steps, facts),
        facts.champion,
        facts.serving,
        smoke,
        facts.unknown,
        quality.compare(asl_before, asl_after),
    )


def _expected(template: Mapping[str, Any], steps: tuple[StepForecast, ...], facts: Facts) -> Expected:
    runs = {step.step for step in steps if step.does == "run"}
    jobs = [job for job in cost.usage(template).jobs if job.state in runs]
    known = [facts.durations.get(job.timed_by) for job in jobs]
    took = [found.seconds if found else None for found in known]
    limits = [job.limit_seconds for job in jobs]
    return Expected(
        tuple(job.state for job in jobs),
        None if None in took else float(sum(s for s in took if s is not None)),
        None if None in limits else float(sum(s for s in limits if s is not None)),
        facts.champion.run_seconds if facts.champion else None,
    )


def _cost(template: Mapping[str, Any], prices: cost.Prices, facts: Facts) -> cost.Estimate:
    used = cost.usage(template)
    durations = facts.durations
    jobs = [*used.jobs, *(used.comparison.jobs if used.comparison else ())]
    took = {job.state: durations[job.timed_by] for job in jobs if job.timed_by in durations}
    return cost.estimate(used, prices, took)


def _templates(stack: StackAction) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Before and after, with parameters filled in."""
    before = json.loads(stack.before) if stack.before else None
    after = templates.filled(json.loads(stack.template), dict(stack.parameters))
    return templates.filled(before, dict(stack.before_parameters)) if before else None, after


def _estimate(found: cost.Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {**asdict(found), "per_run": asdict(found.per_run), "per_month": asdict(found.per_month)}
