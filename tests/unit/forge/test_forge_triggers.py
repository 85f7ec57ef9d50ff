"""Which workflows an event starts, and the expressions and permissions that act leaves to others."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.local.forge import workflow
from pipeline.local.forge.events import Event
from pipeline.local.forge.expressions import evaluate, text
from pipeline.local.forge.triggers import check_inputs, matches, parse, starts

SHA = "a" * 40


def event(name: str, payload: dict[str, Any] | None = None, **changes: Any) -> Event:
    return Event(name, payload or {}, "refs/heads/main", SHA, SHA, **changes)


def flow(on: str) -> dict[str, Any]:
    return parse(f"on: {on}\njobs: {{a: {{runs-on: ubuntu-24.04}}}}", "x.yml")


# The table of https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#filter-pattern-cheat-sheet
@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("feature/*", ["feature/my-branch"], ["feature/beta-a/my-branch"]),
        ("feature/**", ["feature/beta-a/my-branch", "feature/x"], ["features/x"]),
        ("main", ["main"], ["main2", "maintenance"]),
        ("*", ["main", "releases"], ["all/the/branches"]),
        ("**", ["all/the/branches", "every/tag"], []),
        ("*feature", ["mona-feature", "feature"], ["feature-x"]),
        ("v2*", ["v2", "v2.0", "v2.9"], ["v1", "av2"]),
        ("v[12].[0-9]+.[0-9]+", ["v1.10.1", "v2.0.0"], ["v3.0.0", "v1.x.0"]),
        ("*.jsx?", ["page.js", "page.jsx"], ["page.jsxx", "a/page.js"]),
        ("**/docs/**", ["docs/hello.md", "dir/docs/my-file.txt"], ["docs2/x"]),
        ("**.js", ["app.js", "js/index.js"], ["app.jsx"]),
        ("**/README.md", ["README.md", "js/README.md"], ["README.md.x"]),
    ],
)
def test_filter_patterns(pattern: str, good: list[str], bad: list[str]) -> None:
    assert [name for name in good if not matches(name, [pattern])] == []
    assert [name for name in bad if matches(name, [pattern])] == []


def test_a_later_pattern_takes_back_and_gives_again() -> None:
    patterns = ["releases/**", "!releases/**-alpha", "releases/x-alpha"]
    assert [matches(n, patterns) for n in ("releases/1", "releases/1-alpha", "releases/x-alpha")] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("on", "given", "expected"),
    [
        ("push", event("push", branch="x"), True),
        ("[push, pull_request]", event("merge_group"), False),
        ("{push: {branches: [main]}}", event("push", branch="main", paths=["a"]), True),
        ("{push: {branches: [main]}}", event("push", branch="other"), False),
        ("{push: {branches: [main]}}", event("push", tag="v1"), False),
        ("{push: {tags: ['v*']}}", event("push", tag="v1"), True),
        ("{push: {tags: ['v*']}}", event("push", branch="main"), False),
        ("{push: {branches: [main], tags: ['v*']}}", event("push", tag="x1"), False),
        ("{push: {branches-ignore: ['wip/**']}}", event("push", branch="wip/a"), False),
        ("{push: {paths: ['src/**']}}", event("push", branch="m", paths=["docs/a", "src/b"]), True),
        ("{push: {paths-ignore: ['docs/**']}}", event("push", branch="m", paths=["docs/a"]), False),
        ("{push: {paths-ignore: ['docs/**']}}", event("push", branch="m", paths=["docs/a", "b"]), True),
        ("{push: {paths-ignore: ['docs/**']}}", event("push", tag="v1", paths=None), True),
        ("{pull_request: }", event("pull_request", {"action": "opened"}, branch="main"), True),
        ("{pull_request: }", event("pull_request", {"action": "labeled"}, branch="main"), False),
        ("{pull_request: {types: [labeled]}}", event("pull_request", {"action": "labeled"}), True),
        (
            "{pull_request: {branches: [main]}}",
            event("pull_request", {"action": "opened"}, branch="x"),
            False,
        ),
        ("{workflow_dispatch: }", event("workflow_dispatch", only="x.yml"), True),
        ("{workflow_dispatch: }", event("workflow_dispatch", only="y.yml"), False),
        ("{schedule: [{cron: '1 2 * * *'}]}", event("schedule", only=".github/workflows/x.yml"), True),
    ],
)
def test_what_an_event_starts(on: str, given: Event, expected: bool) -> None:
    assert starts(flow(on), ".github/workflows/x.yml", given) is expected


def test_a_workflow_answers_another_by_its_name() -> None:
    answer = flow("{workflow_run: {workflows: [plan], types: [completed]}}")
    told = {"action": "completed", "workflow_run": {"name": "plan"}}
    assert starts(answer, "x.yml", event("workflow_run", told))
    assert not starts(answer, "x.yml", event("workflow_run", {**told, "workflow_run": {"name": "other"}}))
    assert not starts(answer, "x.yml", event("workflow_run", {**told, "action": "requested"}))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("github.ref", "refs/heads/main"),
        ("github.event.number || github.ref", 7),
        ("github.nothing.at.all || 'it''s'", "it's"),
        ("github.event_name == 'PUSH'", True),
        ("github.event_name != 'push'", False),
        ("github.event_name == 'push' && github.ref || 'x'", "refs/heads/main"),
        ("'a || b'", "a || b"),
    ],
)
def test_the_few_expressions_of_concurrency(expression: str, value: Any) -> None:
    context = {"github": {"ref": "refs/heads/main", "event": {"number": 7}, "event_name": "push"}}
    assert evaluate(expression, context) == value
    assert text("a ${{ github.ref }} b ${{ github.none }}", context) == "a refs/heads/main b "


def test_an_expression_beyond_them_is_refused() -> None:
    with pytest.raises(SettingsError, match="cannot evaluate"):
        evaluate("format('{0}', github.ref)", {})


def test_a_token_may_do_what_some_job_may_and_a_forks_may_only_read() -> None:
    made = parse(
        "on: push\npermissions: {}\njobs:\n"
        "  a: {runs-on: ubuntu-24.04, permissions: {contents: read, pull-requests: write, id-token: write}}\n"
        "  b: {runs-on: ubuntu-24.04, permissions: {contents: write}}\n  c: {runs-on: ubuntu-24.04}\n",
        "x.yml",
    )
    assert workflow.rights(made, False) == {
        "contents": "write",
        "pull-requests": "write",
        "id-token": "write",
    }
    assert workflow.rights(made, True) == {"contents": "read", "pull-requests": "read"}
    assert workflow.may(made, "c") == {}


def test_what_act_ignores_becomes_steps() -> None:
    made = parse(
        "on: push\nconcurrency: {group: all}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n"
        "    environment: {name: production}\n    strategy: {matrix: {x: [1, 2]}}\n"
        "    concurrency: {group: 'deploy-${{ matrix.x }}', queue: max}\n    steps: [{run: 'true'}]\n",
        "x.yml",
    )
    job = workflow.prepared(made, "http://127.0.0.1:1", workflow.ACTIONS)["jobs"]["a"]
    begin, own, end = job["steps"]
    assert own == {"run": "true"} and "concurrency" not in job
    assert begin["env"]["FORGE_ENVIRONMENT"] == "production"
    assert begin["env"]["FORGE_GROUP"] == "deploy-${{ matrix.x }}"
    assert job["name"] == "a (${{ join(matrix.*, ', ') }})" and end["if"] == "always()"
    assert workflow.group(made["jobs"]["a"]["concurrency"]) == ("deploy-${{ matrix.x }}", "false", True)
    assert "steps" in made["jobs"]["a"] and len(made["jobs"]["a"]["steps"]) == 1, "the original stays"


def test_who_starts_a_workflow_by_hand_gives_the_inputs_that_it_has() -> None:
    by_hand = flow(
        "{workflow_dispatch: {inputs: {why: {required: true}, to: {}, n: {required: true, default: 1}}}}"
    )
    check_inputs(by_hand, {"why": "x"})
    check_inputs(flow("{workflow_dispatch: {}}"), {})
    with pytest.raises(SettingsError, match="required: why"):
        check_inputs(by_hand, {"to": "3", "why": ""})
    with pytest.raises(SettingsError, match="no input 'who'"):
        check_inputs(by_hand, {"why": "x", "who": "me"})
