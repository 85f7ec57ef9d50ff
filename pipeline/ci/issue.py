"""The one issue of an environment that drifted: opened once, refreshed, closed when it is well again."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.ci.github import Forge

LABEL = "drift"
# Exit code of `pipeline drift --detailed-exitcode` when something drifted.
DRIFTED = 10
LIMIT = 60_000


def marker(environment: str) -> str:
    """What the issue's text begins with, to be found again."""
    return f"<!-- pipeline ci: drift in {environment} -->"


def refresh(forge: Forge, environment: str, reports: Mapping[str, str], run_url: str) -> str:
    """Make the issue say what was found.

    Args:
        reports: pipeline -> Markdown; empty when nothing drifted.

    Returns:
        The issue's page; empty when there is none and needs none.
    """
    mark = marker(environment)
    found = [each for each in forge.issues(LABEL) if str(each.get("body") or "").startswith(mark)]
    if not reports:
        url = ""
        for each in found:
            forge.comment(int(each["number"]), f"No drift any more: {run_url}")
            url = forge.edit_issue(int(each["number"]), state="closed")
        return url
    title = f"Drift in {environment}: {', '.join(sorted(reports))}"
    body = _body(mark, environment, reports, run_url)
    if not found:
        return forge.open_issue(title, body, LABEL)
    for double in found[1:]:
        forge.edit_issue(int(double["number"]), state="closed")
    return forge.edit_issue(int(found[0]["number"]), title=title, body=body)


def _body(mark: str, environment: str, reports: Mapping[str, str], run_url: str) -> str:
    share = LIMIT // len(reports)
    parts = [mark, f"What runs in {environment} is not what the repository says. Last looked: {run_url}", ""]
    for name, report in sorted(reports.items()):
        cut = report if len(report) <= share else report[:share] + "\n\n... cut; the run's log has all of it."
        parts += [f"### {name}", "", cut.strip(), ""]
    return "\n".join(parts)
