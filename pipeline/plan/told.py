"""A report in short phrases, the same on the terminal and in a pull request. Pure."""

from __future__ import annotations

from collections import Counter

from pipeline.cost import Line, Total
from pipeline.plan.model import Plan
from pipeline.plan.report import Report

ACTIONS = {"Add": "to add", "Modify": "to change", "Replace": "to replace", "Remove": "to remove"}


def summary(plan: Plan) -> str:
    """`2 to add, 1 to change, 3 to upload`, or `No changes`."""
    if not plan.changes:
        return "No changes"
    count = Counter(str(change.action) for stack in plan.stacks for change in stack.changes)
    parts = [f"{count[action]} {words}" for action, words in ACTIONS.items() if count[action]]
    new = sum(not upload.present for upload in plan.uploads)
    parts += [f"{new} to upload"] if new else []
    return ", ".join(parts) or "outputs or tags change"


def workflow(report: Report) -> str:
    """`1 state added, 2 changed; 3 ways changed`."""
    change = report.graph
    if change.new:
        return f"new, {len(change.states)} states"
    if not change:
        return "unchanged"
    states = Counter(state.action for state in change.states)
    ways = len(change.edges)
    parts = [f"{states[a]} {a}" for a in ("added", "changed", "removed") if states[a]]
    said = [f"states: {', '.join(parts)}"] if parts else []
    said += [f"{ways} ways between them change"] if ways else []
    said += [f"{len(change.machine)} settings of the whole"] if change.machine else []
    return "; ".join(said)


def rights(report: Report) -> str:
    """`3 roles change; 2 facts are wider`."""
    if not report.access:
        return "unchanged"
    holders = Counter(holder.action for holder in report.access)
    parts = [f"{holders[a]} {a}" for a in ("added", "changed", "removed") if holders[a]]
    wider = report.wider
    return f"roles and policies: {', '.join(parts)}; {wider} {'grants' if wider != 1 else 'grant'} to look at"


def next_run(report: Report) -> str:
    """`runs Train, Evaluate, deploy; skips image`."""
    by: dict[str, list[str]] = {}
    for step in report.steps:
        if step.step != "data":
            by.setdefault(step.does, []).append(step.step)
    verbs = {"run": "runs", "skip": "skips", "depends": "may run", "unknown": "cannot tell for"}
    return "; ".join(f"{verb} {', '.join(by[does])}" for does, verb in verbs.items() if does in by)


def rules(report: Report) -> str:
    """`8 rules; 1 added, 2 removed`: of data quality."""
    count = Counter(rule.change for rule in report.quality)
    held = len(report.quality) - count["removed"]
    changed = ", ".join(f"{count[change]} {change}" for change in ("added", "removed") if count[change])
    return f"{held} rule{'s' * (held != 1)}" + (f"; {changed}" if changed else "")


def expected(report: Report) -> str:
    """How long the next run's jobs take: as the last ones took, else at most by their limits."""
    found = report.expected
    if not found.jobs:
        return "no job runs" if any(s.does == "skip" for s in report.steps[1:]) else ""
    named = f"{', '.join(found.jobs)} together"
    if found.measured is not None:
        said = f"{named} about {span(found.measured)}, as the last ones took"
    elif found.limit is not None:
        said = f"{named} at most {span(found.limit)}, by their time limits"
    else:
        said = f"nobody knows how long {named} take"
    whole = f"; the whole run behind what serves took {span(found.whole)}" if found.whole else ""
    return said + whole


def span(seconds: float) -> str:
    """`95 s`, `12 min`, `2.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def image(plan: Plan) -> str:
    """Whether the image is built, why, and what the scanner found."""
    verbs = {
        "reuse": "not built",
        "build": "built",
        "workflow": "built by the run",
        "missing": "cannot be built",
        "later": "not known yet",
    }
    parts = [f"{verbs.get(plan.image.how, 'unknown')}: {plan.image.why or 'not looked up'}", plan.image.scan]
    return "; ".join(filter(None, parts))


def money(usd: float) -> str:
    """`$93.44`, `$0.0021`; what is less than a hundredth of a cent says so."""
    if usd == 0:
        return "$0"
    if usd < 0.0001:
        return "<$0.0001"
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.4f}".rstrip("0")


def between(low: float, high: float) -> str:
    """A range of money; from 0 it is `up to`."""
    if low == high:
        return money(high)
    return f"up to {money(high)}" if low == 0 else f"{money(low)} to {money(high)}"


def total(found: Total | None) -> str:
    """A sum, and what is not in it."""
    if found is None:
        return "nothing"
    rest = f" + unknown ({', '.join(found.unknown)})" if found.unknown else ""
    return f"{between(found.low, found.high)}{rest}"


def line(item: Line) -> str:
    """One item's amount: `unknown` where there is no price, never 0."""
    if item.high is None or item.low is None:
        return "unknown"
    return between(item.low, item.high)


def cost(report: Report, per: str) -> str:
    """`$0.19, today $0.12`; per run or per month."""
    attribute = f"per_{per}"
    now = total(getattr(report.cost_after, attribute))
    was = total(getattr(report.cost_before, attribute)) if report.cost_before else "nothing"
    return f"{now} (as today)" if now == was else f"{now} (today {was})"


def champion(report: Report) -> str:
    """Whose metrics stand beside the smoke run's, and on which data they were measured."""
    if not report.serving:
        return "serving now: not known"
    if report.champion is None:
        return "nothing serves yet"
    return f"serving now, on its data of {report.champion.data_date or 'an unknown date'}"


def smoke(report: Report) -> str:
    """What the run on sample data came to."""
    found = report.smoke
    if found is None:
        return "not run"
    if not found.status:
        return f"could not be run: {found.error}"
    measured = ", ".join(f"{name} {value:.4g}" for name, value in found.metrics.items())
    verdict = "passed the gate" if found.approved else "did not pass the gate"
    rest = f"; {found.status}: {found.error}" if found.status != "SUCCEEDED" else ""
    return f"{verdict}{f' ({measured})' if measured else ''} in {found.seconds:.1f} s{rest}"
