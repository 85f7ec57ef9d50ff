"""A plan as a comment on its pull request: summary first, details folded, within GitHub's limit. Pure.

GitHub refuses a comment of more than 65,536 characters (422 "Body is too long"); a report is kept under it
in UTF-8 bytes, which are never fewer. What was left out is named: it stands in the plan's file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.graph.compare import compared
from pipeline.plan import given, graph, told
from pipeline.plan.markdown import block, code, details, table
from pipeline.plan.model import DEPLOYED, Plan, PropertyChange, canonical
from pipeline.plan.report import Report

LIMIT = 65_536
# Who posts it puts a line of its own before it.
RESERVE = 1_024
# Mermaid stops at 50,000 characters; long before that nobody can read it.
MAX_PICTURE = 24_000
MAX_LINES = 150
SIGNS = {"added": "+", "removed": "-", "changed": "!", "gains": "+", "loses": "-", "changes": "!"}
RULES = {"": " ", "added": "+", "removed": "-"}
DOES = {"run": "runs", "skip": "**skipped**", "depends": "may run", "unknown": "unknown"}


@dataclass(frozen=True)
class Section:
    """One part. `keep`: the higher, the later it is cut when there is too much."""

    title: str
    body: str
    keep: int
    opened: bool = False


def markdown(plan: Plan, report: Report, limit: int = LIMIT - RESERVE) -> str:
    """The whole comment, of at most `limit` bytes."""
    head = _head(plan, report)
    sections = list(_sections(plan, report))
    left_out: list[str] = []
    while True:
        body = "\n\n".join([head, *(details(s.title, s.body, opened=s.opened) for s in sections)])
        if left_out:
            body += (
                f"\n\n_Too long for a comment, left out: {', '.join(left_out)}. The plan's file has it all._"
            )
        body += "\n"
        if len(body.encode()) <= limit or not sections:
            return body
        weakest = min(sections, key=lambda s: (s.keep, -len(s.body)))
        sections.remove(weakest)
        left_out.append(weakest.title.partition(":")[0].lower())


def _head(plan: Plan, report: Report) -> str:
    rows = [
        ("Resources", told.summary(plan)),
        ("Workflow", told.workflow(report)),
        ("Rights", _marked(told.rights(report), report.wider > 0 and not report.graph.new)),
        ("Image", code(told.image(plan))),
        ("Next run", code(told.next_run(report))),
        ("Expected time", code(told.expected(report))),
        ("Cost of a run", code(told.cost(report, "run"))),
        ("Cost of a month", code(told.cost(report, "month"))),
        ("Smoke run", code(told.smoke(report))),
        ("Digest", code(plan.digest[:16])),
    ]
    title = f"### Plan: {code(plan.name)} in {code(plan.environment)}"
    against = "" if plan.against == DEPLOYED else f"\n\nComputed offline, against {code(plan.against)}."
    replaced = [c.logical_id for s in plan.stacks for c in s.changes if c.action in ("Replace", "Remove")]
    warning = f"\n\n**Replaced or removed:** {', '.join(code(n) for n in replaced[:20])}" if replaced else ""
    origin = "".join(f"\n\n**{code(said)}**" for said in given.words(plan))
    return f"{title}\n\n{table(('', ''), rows)}{against}{origin}{warning}"


def _marked(text: str, mark: bool) -> str:
    return f"**{text}**" if mark else text


def _sections(plan: Plan, report: Report) -> Iterator[Section]:
    change = report.graph
    if change:
        yield from _workflow(plan, report)
    if report.access:
        yield _rights(report)
    steps = [(code(s.step), DOES[s.does], code(s.why)) for s in report.steps]
    yield Section("Next run", table(("Step", "", "Why"), steps), 8)
    yield _cost(report)
    if report.quality:
        changed = any(rule.change for rule in report.quality)
        lines = [f"{RULES[r.change]} {r.frame}: {r.words}" for r in report.quality]
        yield Section(f"Data quality: {told.rules(report)}", block(_few(lines), "diff"), 5, opened=changed)
    if report.smoke is not None:
        yield Section("Smoke run", _metrics(report), 9, opened=True)
    resources = list(_resources(plan))
    if resources:
        yield Section(f"Resources: {told.summary(plan)}", block(_few(resources), "diff"), 3)
    if report.unknown:
        yield Section("What could not be found out", block(report.unknown, "text"), 6)


def _workflow(plan: Plan, report: Report) -> Iterator[Section]:
    change = report.graph
    if not change.new:
        signs = {s.name: SIGNS[s.action] for s in change.states}
        lines = [f"{_sign(line, signs)} {line}" for line in graph.words(change)]
        yield Section(f"Workflow: {told.workflow(report)}", block(_few(lines), "diff"), 7, opened=True)
    picture = compared(
        report.asl_before,
        report.asl_after,
        change.changed,
        "mermaid",
        plan.pipeline_stack.stack_name,
        near=True,
    )
    title = "The workflow" if change.new else "What changes in the workflow, and what is next to it"
    if len(picture) <= MAX_PICTURE:
        yield Section(title, f"```mermaid\n{picture}```", 4, opened=not change.new)
    else:
        yield Section(title, "The picture is too large here: `pipeline plan --svg FILE` draws it.", 4)


def _sign(line: str, signs: dict[str, str]) -> str:
    name = line.removeprefix("state ").partition(" ")[0].rstrip(":")
    if line.startswith("state "):
        return signs.get(name, "!")
    return "+" if " is added" in line else "-" if " is removed" in line else "!"


def _rights(report: Report) -> Section:
    lines: list[str] = []
    for holder in report.access:
        lines.append(f"# {holder.name}{f': {holder.purpose}' if holder.purpose else ''} ({holder.action})")
        lines += [f"{SIGNS[c.action]} {c.words}{'   <- wider' if c.wider else ''}" for c in holder.changes]
    # A first deployment grants everything; then the list is for reference.
    return Section(
        f"Rights: {told.rights(report)}", block(_few(lines), "diff"), 9, opened=not report.graph.new
    )


def _cost(report: Report) -> Section:
    before = {line.what: line for line in report.cost_before.lines} if report.cost_before else {}
    sources: list[str] = []
    rows = []
    for line in report.cost_after.lines:
        was = before.pop(line.what, None)
        today = told.line(was) if was else "nothing"
        note = code(line.note) if line.note else ""
        if line.source:
            sources += [line.source] if line.source not in sources else []
            note = f"{note} [{sources.index(line.source) + 1}]".strip()
        rows.append((code(line.what), line.per, code(line.quantity), told.line(line), today, note))
    rows += [(code(gone.what), gone.per, "", "nothing", told.line(gone), "") for gone in before.values()]
    for per in ("run", "month"):
        now = told.total(getattr(report.cost_after, f"per_{per}"))
        was_all = told.total(getattr(report.cost_before, f"per_{per}")) if report.cost_before else "nothing"
        rows.append((f"**a {per}**", per, "", code(now), code(was_all), ""))
    body = table(("What", "per", "Quantity", "Cost", "Today", "Known from"), rows)
    runs = report.cost_after.runs
    said = (
        f"A month has {runs:.1f} scheduled runs."
        if runs is not None
        else "There is no schedule, so a month has no runs in it."
    )
    said += f" On-demand prices in USD in {code(report.region)}, without tax, free tier and discounts:"
    listed = "\n".join(f"{number}. {code(source)}" for number, source in enumerate(sources, start=1))
    return Section("Cost", f"{body}\n\n{said}\n\n{listed}", 5)


def _metrics(report: Report) -> str:
    smoke, champion = report.smoke, report.champion
    if smoke is None:
        return ""
    names = list(dict.fromkeys([*smoke.metrics, *(champion.metrics if champion else ())]))
    rows = [
        (code(n), _number(smoke.metrics.get(n)), _number(champion.metrics.get(n) if champion else None))
        for n in names
    ]
    parts = (
        [table(("Metric", "this change, on the sample", code(told.champion(report))), rows)] if rows else []
    )
    if smoke.gate:
        parts.append(block([f"{'+' if passed else '-'} {why}" for why, passed in smoke.gate], "diff"))
    if smoke.error:
        parts.append(block([smoke.error], "text"))
    parts.append(f"{smoke.seconds:.1f} s for the run, {smoke.total:.1f} s with everything around it.")
    return "\n\n".join(parts)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _resources(plan: Plan) -> Iterator[str]:
    signs = {"Add": "+", "Modify": "!", "Replace": "-", "Remove": "-"}
    for stack in plan.stacks:
        if stack.operation == "none":
            continue
        yield f"# {stack.kind} stack {stack.stack_name}: {stack.operation}"
        for change in stack.changes:
            note = " REPLACED" if change.action == "Replace" else ""
            note += f" ({change.why})" if change.why else ""
            yield f"{signs[change.action]} {change.logical_id} {change.type}{note}"
            yield from (f"      {_property(item)}" for item in change.properties)
        yield from (f"! {_property(item)}" for item in stack.other)
    for upload in plan.uploads:
        if not upload.present:
            yield f"+ upload {upload.what}: {upload.key}"


def _property(item: PropertyChange) -> str:
    note = {"always": " [replaces]", "conditionally": " [may replace]", "never": ""}[item.replaces]
    if item.why:
        return f"{item.path}: {item.why}{note}"
    return f"{item.path}: {_value(item.before)} -> {_value(item.after)}{note}"


def _value(value: object) -> str:
    if value is None:
        return "nothing"
    text = canonical(value)
    return text if len(text) <= 120 else f"{text[:90]}...{text[-20:]}"


def _few(lines: list[str]) -> list[str]:
    rest = len(lines) - MAX_LINES
    return (
        lines if rest <= 0 else [*lines[:MAX_LINES], f"... and {rest} more lines; the plan's file has them"]
    )
