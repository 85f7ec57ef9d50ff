"""The comment's text: everything of the report that reads, nothing that reaches beyond the comment."""

from __future__ import annotations

import pytest

from pipeline.ci import comment
from pipeline.ci.bundle import Bundle

HEAD, DIGEST = "a" * 40, "d" * 64
PAGE = "https://github.com/o/r/actions/runs/1"


def plan(report: str = "text", name: str = "iris", **more: object) -> Bundle:
    data: dict[str, object] = {
        "pipeline": name,
        "environment": "staging",
        "head": HEAD,
        "digest": DIGEST,
        "changes": True,
        "offline": False,
        "failed": False,
        "files": {},
        "report": report,
    }
    return Bundle(**{**data, **more})  # type: ignore[arg-type]


def text(
    *plans: Bundle, problems: tuple[str, ...] = (), foreign: bool = False, conclusion: str = "success"
) -> str:
    return comment.text(plans, problems, HEAD, PAGE, foreign, conclusion)


def test_it_begins_with_its_marker_and_has_every_plan() -> None:
    found = text(plan("first"), plan("second", "mnist", changes=False, digest=DIGEST))
    assert found.startswith(comment.MARKER)
    assert f"| iris | staging | changes | `{DIGEST[:16]}` |" in found
    assert "| mnist | staging | no changes |" in found
    assert found.index("<!-- pipeline ci: iris in staging -->") < found.index("first") < found.index("second")
    assert found.count("<details") == found.count("</details>") == 2
    assert PAGE in found


def test_no_plan_is_told_apart_from_nothing_to_plan() -> None:
    assert "merging this deploys nothing" in text()
    assert "says why" in text(conclusion="failure")


def test_failed_and_offline_plans_say_so() -> None:
    assert "| iris | staging | **failed** | `-` |" in text(plan(failed=True, digest=""))
    found = text(plan(offline=True, digest=""), foreign=True)
    assert "| iris | staging | offline |" in found
    assert "by the fork's own code" in found


def test_problems_are_listed_without_what_they_quote() -> None:
    assert "- not shown: holds @\u200bteam" in text(problems=("holds @team<img src=x>",))


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("ping @team and @user", "ping @\u200bteam and @\u200buser"),
        ("closes #12, GH-3", "closes #\u200b12, GH-\u200b3"),
        ("![x](https://evil/p.png)", "x"),
        ("![x][ref]", "x"),
        ("<img src=https://evil/p.png>after", "after"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("<a href='javascript:x'>y</a>", "y"),
        (f"{comment.MARKER}mine", "mine"),
        ("<!-- open", ""),
        (
            "<details open ontoggle=x><summary>s</summary>t</details>",
            "<details><summary>s</summary>t</details>",
        ),
        ("a < b and c > d", "a < b and c > d"),
        ("[approve](https://evil/x 'y')", "approve (https://evil/x)"),
        ("[approve][1]\n\n[1]: https://evil", "[approve][1]\n\n"),
        ("`arn:aws:iam::1:role/x`", "`arn:aws:iam::1:role/x`"),
        ("| a | b |\n|---|---|", "| a | b |\n|---|---|"),
        ("\u202eright to left\x07", "right to left"),
        ("see /issues/7#x and colour #fff", "see /issues/7#x and colour #fff"),
    ],
)
def test_what_others_wrote_is_made_harmless(written: str, shown: str) -> None:
    assert comment._clean(written) == shown


def test_a_long_plan_is_cut_and_closed_and_the_others_keep_their_share() -> None:
    long = "<details><summary>s</summary>\n\n```mermaid\n" + "line\n" * 40_000
    found = text(plan(long), plan("short one", "mnist"))
    assert len(found) <= 65_536
    assert "... cut; the artifact has all of it." in found
    assert found.count("<details") == found.count("</details>")
    assert found.count("```") % 2 == 0
    assert "short one" in found
