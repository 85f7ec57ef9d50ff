"""A plan's report as text for a person: workflow, rights, the next run, cost, the smoke run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.cli import _output
from pipeline.plan import graph, told

if TYPE_CHECKING:
    from pipeline.plan.report import Report

STYLES = {
    "added": ("+", "green"),
    "gains": ("+", "green"),
    "removed": ("-", "red"),
    "loses": ("-", "red"),
    "changed": ("~", "yellow"),
    "changes": ("~", "yellow"),
}
FEW = 12
DOES = {"run": "runs", "skip": "skipped", "depends": "may run", "unknown": "unknown"}


def describe(report: Report, full: bool = False) -> str:
    """The report, a title a part; parts without change are one line."""
    lines = ["", *_part("workflow", told.workflow(report), _workflow(report), full)]
    # A first deployment grants everything; the list is long and says what the roles' policies say.
    few = full or not report.graph.new
    lines += _part("rights", told.rights(report), _rights(report) if few else [], full)
    if report.quality:
        # Each of them can end a run: none is left out for being as it was.
        lines += _part("data quality", told.rules(report), _quality(report), True)
    lines += _part("next run", told.next_run(report), _steps(report), True)
    lines += _part("cost", "a run " + told.cost(report, "run"), _cost(report), True)
    if report.smoke is not None:
        lines += _part("smoke run", told.smoke(report), _smoke(report), True)
    if report.unknown:
        lines += _part("not known", "", [f"    {text}" for text in report.unknown], full)
    return "\n".join(lines)


def _part(title: str, said: str, lines: list[str], full: bool) -> list[str]:
    shown = lines if full else lines[:FEW]
    head = f"  {_output.paint(title, 'bold')}: {said}".rstrip(": ")
    rest = (
        [f"    ... and {len(lines) - len(shown)} more (--full shows all)"] if len(shown) < len(lines) else []
    )
    return [head, *shown, *rest]


def _workflow(report: Report) -> list[str]:
    return [] if report.graph.new else [f"    {line}" for line in graph.words(report.graph)]


def _rights(report: Report) -> list[str]:
    lines = []
    for holder in report.access:
        mark, style = STYLES[holder.action]
        lines.append(f"    {_output.paint(f'{mark} {holder.name}', style)}  {holder.purpose}")
        for change in holder.changes:
            sign, colour = STYLES[change.action]
            wider = _output.paint("  [wider]", "yellow") if change.wider else ""
            lines.append(f"        {_output.paint(sign, colour)} {change.words}{wider}")
    return lines


def _quality(report: Report) -> list[str]:
    """What changes first; a rule that stays has no mark."""
    lines = []
    for rule in sorted(report.quality, key=lambda rule: not rule.change):
        sign, style = STYLES[rule.change] if rule.change else (" ", "dim")
        lines.append(f"    {_output.paint(sign, style)} {rule.frame}: {rule.words}")
    return lines


def _steps(report: Report) -> list[str]:
    rows = [(f"    {step.step}", DOES[step.does], step.why) for step in report.steps]
    expected = told.expected(report)
    return _output.table(rows).splitlines() + ([f"    expected: {expected}"] if expected else [])


def _cost(report: Report) -> list[str]:
    before = {line.what: line for line in report.cost_before.lines} if report.cost_before else {}
    rows = []
    for line in report.cost_after.lines:
        was = told.line(before[line.what]) if line.what in before else "nothing"
        today = "" if was == told.line(line) else f"today {was}"
        rows.append((f"    {line.what}", f"a {line.per}", line.quantity, told.line(line), today, line.note))
    month = f"    a month: {told.cost(report, 'month')}"
    runs = report.cost_after.runs
    rest = f" with {runs:.1f} scheduled runs" if runs is not None else " without runs: no schedule"
    return [*_output.table(rows).splitlines(), month + rest]


def _smoke(report: Report) -> list[str]:
    smoke, champion = report.smoke, report.champion
    if smoke is None:
        return []
    names = dict.fromkeys([*smoke.metrics, *(champion.metrics if champion else ())])
    rows = [
        (f"    {n}", _number(smoke.metrics.get(n)), _number(champion and champion.metrics.get(n)))
        for n in names
    ]
    table = (
        _output.table(rows, headers=("    metric", "on the sample", told.champion(report))).splitlines()
        if rows
        else []
    )
    return table + [f"    {'ok' if passed else 'x '} {why}" for why, passed in smoke.gate]


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "-"
