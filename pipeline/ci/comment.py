"""The one comment of a pull request: its text from the plans of a run, and its place found again by a marker.

The plans may have been made by code nobody reviewed, in a fork. So the text is made here, on the default
branch; of theirs only the report is taken, with what could reach beyond the comment taken out of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.ci.bundle import Bundle, unpack
from pipeline.ci.context import Context
from pipeline.ci.github import Artifact, Forge, PullRequest
from pipeline.ci.reviewed import WORKFLOW
from pipeline.errors import ApplyError

MARKER = "<!-- pipeline ci: plans of this pull request -->"
# GitHub takes 65,536 characters.
LIMIT = 60_000
MOST_ARTIFACTS = 40
LARGEST_ARTIFACT = 8_000_000
PREFIX = "plan-"
BOT = "github-actions[bot]"

_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.S)
# Tags that lay text out and load nothing.
_TAG = re.compile(r"<(?!/?(?:details|summary|br|sub|sup|b|i|code|pre)\b)[A-Za-z!/?][^>]*>?", re.I)
_ATTRIBUTE = re.compile(r"<(details|summary|br|sub|sup|b|i|code|pre)\b[^>]*>", re.I)
_IMAGE = re.compile(r"!\[([^\]]*)\]\s*(\([^)]*\)|\[[^\]]*\])")
# A link's text may say anything; written out, its address says where it leads.
_LINK = re.compile(r"\[([^\]]*)\]\(\s*([^)\s]*)[^)]*\)")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:.*$", re.M)
_MENTION = re.compile(r"@(?=[A-Za-z0-9])")
_REFERENCE = re.compile(r"(?<![\w&/])#(?=\d)|\bGH-(?=\d)")


def publish(context: Context, forge: Forge, order: Sequence[str] = ()) -> str:
    """Find pull request and plans of the run this event is about; upsert; the comment's page, or nothing.

    Args:
        order: environments as people think of them, the first to be deployed first.
    """
    run = (context.payload or {}).get("workflow_run")
    number = run.get("id") if isinstance(run, dict) else None
    if not isinstance(number, int):
        raise ApplyError("the event does not say which run ended", where="workflow_run.id")
    told = forge.run(number)
    if told.path != WORKFLOW or told.event != "pull_request":
        raise ApplyError(f"run {number} is not one of {WORKFLOW} for a pull request", where=told.path)
    owner = told.head_repository.partition("/")[0]
    pulls = [
        pull
        for pull in forge.open_pull_requests(owner, told.head_branch)
        if pull.head == told.head and pull.head_repository.lower() == told.head_repository.lower()
    ]
    if not pulls:
        return ""
    page = f"{context.server_url}/{forge.repository}/actions/runs/{number}"
    foreign = told.head_repository.lower() != forge.repository.lower()
    bundles, problems = collect(forge, number, told.head, foreign)
    bundles.sort(key=lambda each: (each.pipeline, [*order, each.environment].index(each.environment)))
    url = ""
    for pull in pulls:
        url = upsert(forge, pull, text(bundles, problems, told.head, page, foreign, told.conclusion))
    return url


def collect(forge: Forge, run: int, head: str, foreign: bool) -> tuple[list[Bundle], list[str]]:
    """The run's plans, and why some of its artifacts are not shown."""
    bundles: list[Bundle] = []
    problems: list[str] = []
    for artifact in list(forge.artifacts(run=run))[:MOST_ARTIFACTS]:
        if not artifact.name.startswith(PREFIX):
            continue
        try:
            bundles.append(_read(forge, artifact, head, foreign))
        except ApplyError as error:
            problems.append(error.what)
    key = lambda each: (each.pipeline, each.environment)  # noqa: E731
    return sorted(bundles, key=key), problems


def _read(forge: Forge, artifact: Artifact, head: str, foreign: bool) -> Bundle:
    if artifact.bytes > LARGEST_ARTIFACT:
        raise ApplyError(f"an artifact of {artifact.bytes} bytes is no plan", where=artifact.name)
    bundle = unpack(forge.archive(artifact), artifact.name)
    if bundle.head != head or artifact.name != f"{PREFIX}{bundle.pipeline}-{bundle.environment}":
        raise ApplyError("an artifact is of another commit, pipeline or environment than it says")
    if foreign and not bundle.offline:
        raise ApplyError("a fork's plan says it was made with credentials, which it cannot have had")
    return bundle


def text(
    bundles: Sequence[Bundle], problems: Sequence[str], head: str, page: str, foreign: bool, conclusion: str
) -> str:
    """The comment, marker first; cut so that every plan keeps its share."""
    lines = [MARKER, f"### What merging this would do, at {head[:12]}", ""]
    if foreign:
        lines += [
            "From a fork: planned without credentials, from the repository alone, **by the fork's own "
            "code**. What is deployed was not looked at.",
            "",
        ]
    if not bundles:
        lines += [
            "No pipeline is concerned: merging this deploys nothing."
            if conclusion == "success"
            else f"No plan was made; [the run]({page}) says why.",
            "",
        ]
    else:
        lines += ["| Pipeline | Environment | Plan | Digest |", "|---|---|---|---|"]
        lines += [
            f"| {each.pipeline} | {each.environment} | {_word(each)} | `{each.digest[:16] or '-'}` |"
            for each in bundles
        ]
        lines.append("")
    for problem in problems:
        lines.append(f"- not shown: {_clean(problem)[:300]}")
    foot = f"\n<sub>[The run]({page}) has the whole plans. Each push replaces this comment.</sub>\n"
    room = LIMIT - len("\n".join(lines)) - len(foot)
    share = room // max(len(bundles), 1) - 200
    for each in bundles:
        lines.append(_section(each, share))
    return "\n".join(lines) + foot


def _section(bundle: Bundle, share: int) -> str:
    body = _clean(bundle.report).strip()
    if len(body) > share:
        # Cut between lines, and close what was open, or the rest of the comment would lie in it.
        body = body[:share].rpartition("\n")[0]
        body += "\n```" if body.count("```") % 2 else ""
        opened = len(re.findall(r"<details>", body)) - len(re.findall(r"</details>", body))
        body += "\n\n... cut; the artifact has all of it." + "\n</details>" * max(opened, 0)
    mark = f"<!-- pipeline ci: {bundle.pipeline} in {bundle.environment} -->"
    head = f"{bundle.pipeline} in {bundle.environment}"
    how = "details open" if bundle.changes else "details"
    return f"{mark}\n<{how}><summary>{head}</summary>\n\n{body}\n\n</details>\n"


def _word(bundle: Bundle) -> str:
    if bundle.failed:
        return "**failed**"
    if bundle.offline:
        return "offline"
    return "changes" if bundle.changes else "no changes"


def _clean(report: str) -> str:
    """Somebody's Markdown without hidden comments, mentions, images, disguised links, other tags."""
    report = "".join(c for c in report if c in "\n\t" or c.isprintable())
    report = _COMMENT.sub("", report)
    report = _TAG.sub("", report)
    report = _ATTRIBUTE.sub(lambda m: f"<{m[1].lower()}>", report)
    report = _IMAGE.sub(lambda m: m[1], report)
    report = _LINK.sub(lambda m: f"{m[1]} ({m[2]})", _DEFINITION.sub("", report))
    report = _MENTION.sub("@\u200b", report)
    return _REFERENCE.sub(lambda m: m[0] + "\u200b", report)


def upsert(forge: Forge, pull: PullRequest, body: str) -> str:
    """Replace the comment that has the marker and is ours, or write it; doubles of it are taken away."""
    ours = [
        each
        for each in forge.comments(pull.number)
        if str(each.get("body") or "").startswith(MARKER) and (each.get("user") or {}).get("login") == BOT
    ]
    if not ours:
        return forge.comment(pull.number, body)
    for double in ours[1:]:
        forge.delete_comment(int(double["id"]))
    return forge.edit_comment(int(ours[0]["id"]), body)
