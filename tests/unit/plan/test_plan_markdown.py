"""The pull request's comment: complete, within the limit, and with nothing of the repository's let loose."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from markdown_it import MarkdownIt

from pipeline.plan.markdown import block, code, table
from pipeline.plan.model import PropertyChange, ResourceChange
from pipeline.plan.report import build
from pipeline.plan.report_markdown import LIMIT, RESERVE, markdown
from tests.unit.plan import example

EVIL = (
    "@octocat see #1 and https://evil.example/?a=b `x` ``` **b** <img src=x onerror=alert(1)> | | \n"
    "# head\n```\n@team</summary></details> \u202etxt.exe \\` \\| [l](https://evil.example) GH-7 &#64;me"
)
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def prose(text: str) -> str:
    """Everything of a page that GitHub would look at for mentions, links and markup: not code, not ours."""
    found: list[str] = []
    in_code = 0

    def inline(tokens: list[Any]) -> None:
        nonlocal in_code
        for token in tokens:
            if token.type == "html_inline" and token.content == "<code>":
                in_code += 1
            elif token.type == "html_inline" and token.content == "</code>":
                in_code -= 1
            elif token.type == "text" and not in_code:
                found.append(token.content)
            elif token.type in ("link_open", "image", "html_inline", "strong_open", "em_open", "s_open"):
                found.append(f"[{token.type}] {token.content} {token.attrs}")

    for token in PARSER.parse(text):
        if token.type == "inline":
            inline(token.children or [])
        elif token.type == "html_block":
            found.append(token.content)
        elif token.type.endswith("_open"):
            found.append(f"[{token.type}]")
    return "\n".join(found)


def tame(page: str) -> None:
    loose = prose(page)
    for sign in ("octocat", "@team", "evil.example", "onerror", "GH-7", "&#64;me", "[link_open]", "[image]"):
        assert sign not in loose, sign
    assert "\u202e" not in page


@pytest.mark.parametrize(
    "text", [EVIL, "`", "``", "a|b", "|", "\\", "\\|`", "", " ", "`|`", "\n", "x" * 5000]
)
def test_a_span_holds_whatever_is_put_into_it(text: str) -> None:
    tame(f"before {code(text)} after")
    rows = table(("A", "B"), [(code(text), "plain"), ("next", code(text))])
    tame(rows)
    tokens = [t for t in PARSER.parse(rows) if t.type in ("tr_open", "td_open", "th_open")]
    assert [t.type for t in tokens].count("td_open") == 4, "a cell broke out"
    assert len(code(text)) < 3000


def test_a_block_holds_whatever_is_put_into_it() -> None:
    page = block([EVIL, "```", "~~~", "    ````js"], "diff")
    tame(page)
    (fence,) = [t for t in PARSER.parse(page) if t.type == "fence"]
    assert fence.info == "diff"
    assert len(fence.content.splitlines()) == 4
    assert fence.content.splitlines()[3] == "    ````js", "leading blanks stay"


@pytest.mark.parametrize("seed", range(200))
def test_no_text_gets_out_of_its_span_or_cell(seed: int) -> None:
    luck = random.Random(seed)
    signs = "`|\\<>&@#*_[]()!~\n \t$:;\"'abc\u202e\u200b\x00"
    text = "".join(luck.choice(signs) for _ in range(luck.randint(1, 40)))
    page = table(("A", "B"), [(code(f"{text}@octocat"), "end")])
    loose = prose(page)
    assert "octocat" not in loose
    assert loose.count("[td_open]") == 2
    assert "octocat" not in prose(f"x {code(text + '@octocat')} y")
    assert "octocat" not in prose(block([text + "@octocat", text]))


def test_a_repository_full_of_tricks_is_a_tame_comment() -> None:
    def tricks(states: dict[str, Any]) -> None:
        states["Train"]["Parameters"]["HyperParameters"]["max_leaf_nodes"] = EVIL
        states["Train"]["Comment"] = EVIL
        states[EVIL[:70]] = {"Type": "Pass", "Next": "Train"}
        states["Evaluate"]["Next"] = EVIL[:70]

    before = example.plan_example.template()
    after = example.in_states(tricks)(before)
    statement = {
        "Effect": "Allow",
        "Action": "s3:*",
        "Resource": EVIL,
        "Condition": {"StringEquals": {"k": EVIL}},
    }
    role = after["Resources"]["TrainingRole"]["Properties"]
    role["Policies"][0]["PolicyDocument"]["Statement"].append(statement)
    role["Description"] = EVIL
    after["Resources"]["GateFunction"]["Properties"]["Description"] = EVIL
    plan = example.plan_example.plan(before, after)
    changes = (*plan.pipeline_stack.changes, ResourceChange("Remove", EVIL, EVIL, EVIL, why=EVIL))
    plan = replace(
        plan, name=EVIL, against=EVIL, pipeline_stack=replace(plan.pipeline_stack, changes=changes)
    )
    smoke = replace(example.plan_example.smoke(), error=EVIL, gate=((EVIL, False),), metrics={EVIL: 1.0})
    page = markdown(plan, build(plan, replace(example.plan_example.facts(), unknown=(EVIL,)), smoke))
    tame(page)
    # Nothing of it is a tag, a heading or a rule beside those that are ours.
    assert prose(page).count("<details") == prose(page).count("</details>") > 4
    assert prose(page).count("[heading_open]") == 1
    (picture,) = [t for t in PARSER.parse(page) if t.type == "fence" and t.info == "mermaid"]
    for line in picture.content.splitlines()[4:]:
        assert line.count('"') % 2 == 0, "a label is closed on its line"
        assert "<img" not in line


def test_the_example_is_whole() -> None:
    plan, report = example.plan_example.report()
    page = markdown(plan, report)
    for part in (
        "| Resources | 4 to change, 1 to upload |",
        "+ gains s3:GetObject on",
        "```mermaid",
        "| `Train` | runs |",
    ):
        assert part in page
    assert f"`{plan.digest[:16]}`" in page
    assert "| `accuracy` | 0.95 | 0.9333 |" in page
    assert "unknown" in page
    assert "left out" not in page


@pytest.mark.parametrize("limit", [LIMIT - RESERVE, 20_000, 6_000, 3_000])
def test_too_much_is_cut_from_the_least_important_and_says_so(limit: int) -> None:
    plan, report = example.plan_example.report()
    many = tuple(
        ResourceChange(
            "Modify", f"Resource{n}", "AWS::IAM::Role", properties=(PropertyChange("é" * 150, 1, 2),) * 5
        )
        for n in range(400)
    )
    plan = replace(plan, pipeline_stack=replace(plan.pipeline_stack, changes=many))
    page = markdown(plan, report, limit)
    assert len(page.encode()) <= limit
    assert page.startswith("### Plan:")
    assert page.count("<details") == page.count("</details>")
    assert page.count("```") % 2 == 0
    if limit < 20_000:
        assert "left out: resources" in page.lower()


def test_a_report_is_json() -> None:
    plan, report = example.plan_example.report()
    data = json.loads(json.dumps({**plan.as_dict(), "report": report.as_dict()}))
    assert data["report"]["graph"]["words"]
    assert data["report"]["cost"]["after"]["per_month"]["unknown"] == ["3 alarms"]
    assert {step["step"] for step in data["report"]["steps"]} >= {"image", "Train", "Evaluate", "deploy"}
    assert data["report"]["smoke"]["metrics"] == {"accuracy": 0.95}
