"""From the first push to production and back, by the workflow files; each test goes on from the last."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.workflows.harness import Result, World, worlds

# Several jobs each, with training in some.
pytestmark = pytest.mark.timeout(900)
SETTINGS = "pipeline/definitions/iris/settings.toml"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Accounts that trust the workflows, data in staging, and nothing deployed."""
    with worlds(tmp_path_factory.mktemp("chain")) as made:
        for environment in ("staging", "production"):
            made.cli("account", "up", "-e", environment, "--yes")
        made.cli("data", "iris", "put", "-e", "staging")
        yield made


def pushed(world: World, before: str = "0" * 40) -> Result:
    """What a push of main starts."""
    head = world.git("rev-parse", "HEAD")
    return world.run(
        "merge.yml", "push", environment="staging", change=lambda p: p.update(before=before, after=head)
    )


def client(world: World, service: str) -> Any:
    """A plain boto3 client of staging."""
    return world.cli.client(service, "-e", "staging")


def leaves_deployed(world: World) -> str:
    """The hyperparameter of the state machine in staging."""
    arn = "arn:aws:states:eu-west-1:222222222222:stateMachine:iris-staging"
    text = client(world, "stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"]
    return str(json.loads(text)["States"]["Train"]["Parameters"]["HyperParameters"]["max_leaf_nodes"])


def leaves(world: World, number: int) -> str:
    world.edit(SETTINGS, lambda text: re.sub(r"max_leaf_nodes = \d+", f"max_leaf_nodes = {number}", text))
    return world.commit(f"{number} leaves")


def proposed(world: World, number: int, base: str) -> Result:
    """A pull request of what is checked out: its run, and the comment after it."""
    head = world.git("rev-parse", "HEAD")

    def change(payload: dict[str, Any]) -> None:
        pull = payload["pull_request"]
        pull["number"] = number
        pull["head"]["sha"], pull["base"]["sha"] = head, base
        world.api.store.put("pulls", {k: pull[k] for k in ("head", "base", "state", "title")}, number=number)

    result = world.run("pull-request.yml", "pull_request", change=change)
    ended = world.api.store.get("runs", result.run)
    world.run("comment.yml", "workflow_run", change=lambda p: p["workflow_run"].update(ended)).ended(
        comment="success"
    )
    return result


def merged(world: World, number: int) -> None:
    """As GitHub tells of a pull request that was squashed into what is checked out."""
    sha = world.git("rev-parse", "HEAD")
    facts = {"state": "closed", "merged_at": "2026-11-22T00:00:00Z", "merge_commit_sha": sha}
    world.api.store.change("pulls", number, facts)


def test_the_first_push_deploys_staging(world: World) -> None:
    result = pushed(world)
    result.ended(affected="success", apply="success", provenance="success", result="success")
    assert "pushed without a pull request: a fresh plan is applied" in result.log
    assert "assumed-role/ml-staging-deploy" in result.log or "SUCCEEDED" in result.log
    attested = (result.artifacts / "attested").read_text()
    assert "iris.plan.json" in attested
    world.cli("invoke", "iris", "-e", "staging")


def test_a_pull_request_is_planned_under_the_read_only_role_and_commented(world: World) -> None:
    base = world.git("rev-parse", "HEAD")
    world.git("checkout", "-q", "-b", "topic")
    leaves(world, 7)
    result = proposed(world, 12, base)
    result.ended(affected="success", check="success", plan="success", plan_fork="skipped", required="success")
    names = {path.name for path in result.artifacts.iterdir()}
    assert names == {"plan-iris-staging", "plan-iris-production"}
    (comment,) = world.api.store.comments(12)
    assert "iris in staging" in comment["body"]
    assert "max_leaf_nodes" in comment["body"]
    # The smoke run's metrics, once: of the stage that merges go to.
    assert "accuracy" in comment["body"]


def test_main_that_moved_since_the_plan_is_refused_with_the_difference(world: World) -> None:
    before = world.git("rev-parse", "main")
    world.git("checkout", "-q", "main")
    # Something reached main that the plan never saw.
    world.edit(SETTINGS, lambda text: f"keep_endpoint_configs = 3\n{text}")
    world.commit("Keep one more")
    world.git("merge", "-q", "--squash", "topic")
    world.commit("Seven leaves (#12)")
    merged(world, 12)
    result = pushed(world, before)
    result.ended(affected="success", apply="failure", provenance="skipped", result="failure")
    assert "the plan is not what would happen now" in result.log
    assert "the working tree moved:" in result.log
    assert leaves_deployed(world) != "7"
    world.git("reset", "-q", "--hard", before)


def test_the_merge_applies_the_plan_that_was_reviewed(world: World) -> None:
    before = world.git("rev-parse", "main")
    world.git("merge", "-q", "--squash", "topic")
    world.commit("Seven leaves (#12)")
    merged(world, 12)
    result = pushed(world, before)
    result.ended(affected="success", apply="success", provenance="success", result="success")
    assert leaves_deployed(world) == "7"
    assert "the plan of pull request #12" in result.log
    plan = json.loads((result.artifacts / "applied-staging/iris.plan.json").read_text())
    shown = world.api.store.comments(12)[0]["body"]
    assert plan["digest"][:16] in shown


def test_a_tag_promotes_what_was_tested_with_the_reviewers_approval(world: World) -> None:
    world.git("tag", "-a", "v0.1.0", "-m", "Release 0.1.0")
    # Runs are numbered in order: the reviewer lets the next one in.
    number = 1 + max(int(run["id"]) for run in world.api.store.all("runs"))
    review = {"environments": [{"name": "production"}], "user": {"login": "bob"}, "comment": "go"}
    world.api.store.put("approvals", {"run": number, "state": "approved", **review})
    head = world.git("rev-parse", "HEAD")
    result = world.run(
        "release.yml",
        "tag",
        event="push",
        ref="refs/tags/v0.1.0",
        environment="production",
        change=lambda p: p.update(ref="refs/tags/v0.1.0", after=head),
    )
    result.ended(affected="success", promote="success", result="success")
    assert "approved on GitHub by bob: go" in result.log
    world.cli("invoke", "iris", "-e", "production")


def test_rollback_by_hand(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    owned = tmp_path_factory.mktemp("owned") / "owned"
    reason = f"wrong for large flowers; $(touch {owned}) `touch {owned}` \"'"
    result = world.run(
        "rollback.yml",
        "workflow_dispatch",
        environment="staging",
        change=lambda p: p["inputs"].update(reason=reason),
    )
    result.ended(rollback="success")
    # What somebody typed reached the command as text, and no shell.
    assert not owned.exists()


def test_the_schedule_finds_nothing_new_and_what_was_changed_by_hand(world: World) -> None:
    sagemaker = client(world, "sagemaker")
    serving = sagemaker.describe_endpoint(EndpointName="iris-staging")["EndpointConfigName"]
    made = sagemaker.describe_endpoint_config(EndpointConfigName=serving)
    sagemaker.create_endpoint_config(
        EndpointConfigName="by-hand", ProductionVariants=made["ProductionVariants"]
    )
    sagemaker.update_endpoint(EndpointName="iris-staging", EndpointConfigName="by-hand")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="iris-staging", WaiterConfig={"Delay": 1})
    result = world.run("schedule.yml", "schedule", environment="staging")
    result.ended(affected="success", drift="success")
    (issue,) = world.api.store.all("issues")
    assert issue["title"] == "Drift in staging: iris"
    assert "by-hand" in issue["body"]
