"""Pull requests: whom they concern, what a fork gets (nothing), what the required check says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.e2e.workflows.harness import Result, World

# Several jobs each, with training in some.
pytestmark = pytest.mark.timeout(900)


def asked(world: World, base: str) -> Any:
    """An edit of the payload: this head, that base; and the pull request at the forge."""
    head = world.git("rev-parse", "HEAD")

    def change(payload: dict[str, Any]) -> None:
        pull = payload["pull_request"]
        pull["head"]["sha"], pull["base"]["sha"] = head, base
        kept = {key: pull[key] for key in ("head", "base", "state", "title")}
        world.api.store.put("pulls", kept, number=pull["number"])

    return change


def test_a_change_of_the_docs_starts_nothing(world: World) -> None:
    base = world.git("rev-parse", "HEAD")
    (world.root / "README.md").write_text("Other words.\n")
    world.commit("docs")
    result = world.run("pull-request.yml", "pull_request", change=asked(world, base))
    result.ended(affected="success", check="skipped", plan="skipped", plan_fork="skipped", required="success")
    pushed = world.run(
        "merge.yml", "push", change=lambda p: p.update(before=base, after=world.git("rev-parse", "HEAD"))
    )
    pushed.ended(affected="success", apply="skipped", provenance="skipped", result="success")
    assert "no pipeline is concerned" in pushed.log


def test_the_merge_queue_runs_the_same_jobs(world: World) -> None:
    base = world.git("rev-parse", "HEAD~1")
    head = world.git("rev-parse", "HEAD")
    result = world.run(
        "pull-request.yml",
        "merge_group",
        ref="refs/heads/gh-readonly-queue/main/pr-12-x",
        change=lambda p: p["merge_group"].update(base_sha=base, head_sha=head),
    )
    result.ended(affected="success", plan="skipped", plan_fork="skipped", required="success")


def leaves(world: World, number: int) -> str:
    """Change a hyperparameter of iris and commit it."""
    world.edit(
        "pipeline/definitions/iris/settings.toml",
        lambda text: re.sub(r"max_leaf_nodes = \d+", f"max_leaf_nodes = {number}", text),
    )
    return world.commit(f"{number} leaves")


def steal(workflow: dict[str, Any]) -> None:
    """What a fork may write into its own copy of the workflow: ask for rights, look for credentials."""
    job = workflow["jobs"]["plan-fork"]
    job["permissions"] = {"contents": "write", "id-token": "write", "pull-requests": "write"}
    secret = "^(ACTIONS_ID_TOKEN|AWS_(ACCESS|SECRET|SESSION)|GITHUB_TOKEN=.)"
    look = f"env | grep -E '{secret}' || echo NOTHING-TO-STEAL"
    plan = ".venv/bin/python -m pipeline plan iris -e staging; echo PLAN-ENDED-WITH-$?"
    role = ".venv/bin/python -m pipeline ci plan iris -e staging; echo ROLE-ENDED-WITH-$?"
    token = (
        "curl -s -o /dev/null -w TOKEN-%{http_code} -X POST -H 'Authorization: Bearer ${{ github.token }}' "
        '-d \'{"body": "pwned"}\' $GITHUB_API_URL/repos/acme/gitops-ml/issues/13/comments'
    )
    job["steps"] += [{"name": "steal", "if": "always()", "run": f"set +e\n{look}\n{plan}\n{role}\n{token}\n"}]


def test_a_fork_is_planned_offline_and_finds_nothing_to_steal(world: World) -> None:
    base = world.git("rev-parse", "HEAD")
    leaves(world, 7)
    result = world.run(
        "pull-request.yml", "fork", event="pull_request", change=asked(world, base), alter=steal
    )
    result.ended(affected="success", check="success", plan="skipped", plan_fork="success", required="success")
    assert "NOTHING-TO-STEAL" in result.log
    # No credentials to plan with, and none that our own verb would take.
    assert "PLAN-ENDED-WITH-3" in result.log
    assert "ROLE-ENDED-WITH-2" in result.log
    assert "TOKEN-403" in result.log
    assert world.api.store.comments(13) == []
    plan = json.loads((result.artifacts / "plan-iris-staging/bundle.json").read_text())
    assert (plan["offline"], plan["digest"], plan["failed"]) == (True, "", False)
    ended = world.run("comment.yml", "workflow_run", change=after(world, result))
    ended.ended(comment="success")
    (comment,) = world.api.store.comments(13)
    assert "From a fork" in comment["body"]
    assert "max_leaf_nodes" in comment["body"]


def after(world: World, result: Result) -> Any:
    """An edit of the payload of workflow_run: that run."""

    def change(payload: dict[str, Any]) -> None:
        payload["workflow_run"] |= {"id": result.run, **(world.api.store.get("runs", result.run) or {})}

    return change
