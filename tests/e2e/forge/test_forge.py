"""The local remote itself, on small workflows: what GitHub promises and act does not do."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import Any

import jwt
import pytest

from pipeline.local.forge import setup
from pipeline.local.forge.places import Places, write
from pipeline.local.oidc import ISSUER
from tests.e2e.forge.conftest import IDENTITY, Forge

HELLO = """\
    name: hello
    on:
      push:
        branches: [main]
        paths-ignore: ["docs/**"]
    permissions: {}
    jobs:
      greet:
        runs-on: ubuntu-24.04
        steps:
          - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
          - run: echo "hello from $(cat name.txt) at $GITHUB_SHA of $GITHUB_REPOSITORY"
"""


def test_a_push_runs_the_workflows_of_its_commit_and_tells_the_terminal(forge: Forge) -> None:
    first = forge.commit({"hello.yml": HELLO, "name.txt": "Ada"})
    said = forge.push("main")
    assert f"hello from Ada at {first} of acme/shop" in said
    assert "success   greet" in said
    (run,) = forge.runs()
    assert (run["conclusion"], run["head_sha"], run["event"]) == ("success", first, "push")
    assert "hello from Ada" in (forge.home.places.runs / "1" / "log.txt").read_text()

    forge.commit({"docs/page.md": "text"})
    assert "no workflow is for this push" in forge.push("main")
    assert len(forge.runs()) == 1

    assert "no workflow is for this push" in forge.push("main:refs/heads/other")

    forge.commit({"name.txt": "Grace", "hello.yml": HELLO.replace("echo", "false && echo")})
    said = forge.push("main")
    assert "FAILED" in said and forge.runs()[-1]["conclusion"] == "failure"


PULL = """\
    name: pull request
    on:
      pull_request:
        branches: [main]
    permissions: {}
    jobs:
      plan:
        runs-on: ubuntu-24.04
        permissions:
          contents: read
          id-token: write
        steps:
          - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
          - run: |
              cat a.txt b.txt
              mkdir -p out && cat a.txt b.txt > out/both.txt
              echo "token=${ACTIONS_ID_TOKEN_REQUEST_TOKEN:-none} secret=${FORGE_SECRET:-none}" \\
                | sed 's/token=[A-Za-z0-9_*-]\\{10,\\}/token=some/'
          - uses: actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f
            with:
              name: plan
              path: out/
      required:
        needs: plan
        if: always()
        runs-on: ubuntu-24.04
        steps:
          - run: test "${{ needs.plan.result }}" = success
"""
COMMENT = """\
    name: comment
    on:
      workflow_run:
        workflows: [pull request]
        types: [completed]
    permissions: {}
    jobs:
      comment:
        runs-on: ubuntu-24.04
        permissions:
          pull-requests: write
        steps:
          - env:
              TOKEN: ${{ github.token }}
              NUMBER: ${{ github.event.workflow_run.pull_requests[0].number }}
            run: |
              echo "after ${{ github.event.workflow_run.conclusion }} on $GITHUB_REF"
              curl -fsS -X POST -H "Authorization: Bearer $TOKEN" -d '{"body": "planned"}' \\
                "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/issues/${NUMBER:-1}/comments" > /dev/null
"""


def test_a_pull_request_is_tried_merged_and_commented_on(forge: Forge) -> None:
    forge.commit({"pull-request.yml": PULL, "comment.yml": COMMENT, "a.txt": "a1\n", "b.txt": "b1\n"})
    forge.push("main")
    forge.git("checkout", "-q", "-b", "topic")
    head = forge.commit({"b.txt": "b2\n"}, "Better b")
    forge.git("checkout", "-q", "main")
    forge.commit({"a.txt": "a2\n"})
    forge.push("main")
    said = forge.push("topic:refs/for/main")
    # What is tried is the merge of both sides.
    assert "plan | a2" in said and "plan | b2" in said and "token=some secret=none" in said, said
    pull = forge.home.store.get("pulls", 1)
    assert pull is not None and (pull["title"], pull["head"]["sha"]) == ("Better b", head)
    (artifact,) = forge.home.store.all("artifacts")
    assert artifact["name"] == "plan"
    assert [c["body"] for c in forge.home.store.comments(1)] == ["planned"]
    assert "refs/heads/main" in said, "a workflow that answers another runs on the default branch"

    # One more push moves its head; a fork's has no token to ask with.
    forge.git("checkout", "-q", "topic")
    forge.commit({"b.txt": "b3\n"})
    forge.push("HEAD:refs/for/main")
    assert len(forge.home.store.all("pulls")) == 1
    forge.git("checkout", "-q", "-b", "theirs", "main")
    forge.commit({"b.txt": "evil\n"})
    said = forge.push("HEAD:refs/for/main", "-o", "fork=eve")
    assert "token=none" in said
    assert forge.home.store.all("pulls")[-1]["head"]["repo"]["full_name"] == "eve/shop"
    # Nothing to merge, and a conflict, are said at once.
    assert "has this commit already" in forge.push("main:refs/for/main", code=None)
    forge.git("checkout", "-q", "-b", "other", "main~1")
    forge.commit({"a.txt": "a9\n"})
    assert "conflicts with main" in forge.push("HEAD:refs/for/main", code=None)


DEPLOY = """\
    name: deploy
    on:
      push:
        branches: [main]
        tags: ["v*"]
      workflow_dispatch:
        inputs:
          why:
            type: string
    permissions: {}
    jobs:
      deploy:
        name: deploy ${{ matrix.environment }}
        runs-on: ubuntu-24.04
        permissions:
          id-token: write
        strategy:
          matrix:
            environment: [staging, production]
        environment: ${{ matrix.environment }}
        concurrency:
          group: deploy-${{ matrix.environment }}
          cancel-in-progress: false
          queue: max
        steps:
          - run: |
              curl -fsS -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \\
                "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=sts.amazonaws.com" \\
                > "$FORGE_ROOT/token-${{ matrix.environment }}-$GITHUB_RUN_ID.json"
              date +%s.%N > "$FORGE_ROOT/began-${{ matrix.environment }}-$GITHUB_RUN_ID"
              sleep 1
              date +%s.%N > "$FORGE_ROOT/ended-${{ matrix.environment }}-$GITHUB_RUN_ID"
"""


def claims(forge: Forge, environment: str, run: int) -> dict[str, Any]:
    import json

    text = (forge.root / f"token-{environment}-{run}.json").read_text()
    found: dict[str, Any] = jwt.decode(json.loads(text)["value"], options={"verify_signature": False})
    return found


def test_environments_have_reviewers_tokens_and_one_deployment_at_a_time(forge: Forge) -> None:
    forge.commit({"deploy.yml": DEPLOY})
    forge.push("-o", "detach", "main")
    forge.wait(lambda: [j for r in forge.runs() for j in r.get("jobs", ()) if j["waiting"]])
    (waiting,) = [job for job in forge.runs()[0]["jobs"] if job["waiting"]]
    assert waiting["name"] == "deploy production" and waiting["waiting"] == "approval of production"
    forge.commit({"more.txt": "1"})
    forge.push("-o", "detach", "main")
    forge.wait(lambda: len([p for p in forge.root.glob("ended-staging-*") if p.read_text()]) == 2)
    times = sorted(
        (
            float((forge.root / f"began-staging-{n}").read_text()),
            float((forge.root / f"ended-staging-{n}").read_text()),
        )
        for n in (1, 2)
    )
    assert times[0][1] <= times[1][0], "two deployments to one environment ran at once"
    said = claims(forge, "staging", 1)
    assert said["iss"] == ISSUER and said["aud"] == "sts.amazonaws.com"
    assert said["sub"] == "repo:acme/shop:environment:staging"
    assert not list(forge.root.glob("began-production-*"))

    approvals = forge.home.places.approvals
    write(approvals / "1-production.json", {"state": "approved", "by": "Ada", "comment": ""})
    write(approvals / "2-production.json", {"state": "rejected", "by": "Ada", "comment": "not today"})
    forge.settled()
    assert claims(forge, "production", 1)["sub"] == "repo:acme/shop:environment:production"
    assert [run["conclusion"] for run in forge.runs()] == ["success", "failure"]
    assert not (forge.root / "began-production-2").exists()
    assert "Ada rejected the deployment to production: not today" in forge.deliveries()


def test_tags_start_what_is_for_tags_and_do_not_move(forge: Forge) -> None:
    forge.commit({"hello.yml": HELLO.replace("branches: [main]", 'tags: ["v*", "!v*-rc"]'), "name.txt": "x"})
    assert "no workflow" in forge.push("main")
    forge.git("tag", "-a", "v1.0.0", "-m", "one")
    assert "hello from x" in forge.push("v1.0.0")
    forge.git("tag", "-a", "v1.0.1-rc", "-m", "candidate")
    assert "no workflow" in forge.push("v1.0.1-rc")
    forge.commit({"name.txt": "y"})
    forge.git("tag", "-f", "-a", "v1.0.0", "-m", "moved")
    assert "a tag does not move" in forge.push("--force", "v1.0.0", code=1)


def test_a_protected_branch_takes_pull_requests_only(forge: Forge) -> None:
    forge.commit({"hello.yml": HELLO, "name.txt": "x"})
    forge.push("-o", "detach", "main")
    forge.settled()
    setup.make(Places.of(forge.root), "acme/shop", "main", [], protected=True)
    forge.commit({"name.txt": "y"})
    assert "main is protected" in forge.push("main", code=1)


SLOW = """\
    name: slow
    on: [push]
    permissions: {}
    concurrency:
      group: slow-${{ github.ref }}
      cancel-in-progress: true
    jobs:
      sleep:
        runs-on: ubuntu-24.04
        steps:
          - run: echo asleep && sleep 60
"""


def test_ctrl_c_leaves_the_run_and_a_newer_one_may_cancel_it(forge: Forge) -> None:
    import os

    forge.commit({"slow.yml": SLOW})
    push = subprocess.Popen(
        ["git", "push", "local", "main"],
        cwd=forge.root,
        env={**os.environ, **IDENTITY},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    forge.wait(lambda: [run for run in forge.runs() if run.get("jobs")])
    os.killpg(push.pid, signal.SIGINT)
    push.wait(10)
    time.sleep(0.5)
    assert forge.runs()[0]["status"] == "in_progress"
    forge.commit({"other.txt": "1", "slow.yml": SLOW.replace("sleep 60", "sleep 0.1")})
    forge.push("main")
    forge.settled()
    assert [run["conclusion"] for run in forge.runs()] == ["cancelled", "success"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1", "acme/unknown@v1"),
            "nothing that stands for",
        ),
        (("runs-on: ubuntu-24.04", "runs-on: windows-2025"), "has no runner"),
        (("jobs:", "jobz:"), "it has no jobs"),
    ],
)
def test_what_it_cannot_do_it_says(forge: Forge, change: tuple[str, str], said: str) -> None:
    forge.commit({"hello.yml": HELLO.replace(*change), "name.txt": "x"})
    assert said in forge.push("main")
