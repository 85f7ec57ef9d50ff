"""The workflows keep their promises, and each promise that is broken on purpose is noticed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pipeline.ci import reviewed
from pipeline.cli import build_parser
from tests.contract.workflows.policies import calls, violations

ROOT = Path(__file__).resolve().parents[3]
FILES = {
    path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted((ROOT / ".github").rglob("*.yml"))
}
W = ".github/workflows/"


def test_nothing_is_broken() -> None:
    assert violations(FILES) == []


def test_there_is_something_to_hold() -> None:
    assert len(calls(FILES)) >= 15


@pytest.mark.parametrize(("path", "command"), calls(FILES), ids=[command for _, command in calls(FILES)])
def test_every_call_is_one_the_command_line_knows(path: str, command: str) -> None:
    words = [re.sub(r"^\$", "", word) or "x" for word in shlex.split(command)]
    assert words[:3] == [".venv/bin/python", "-m", "pipeline"], path
    build_parser().parse_args(words[3:])


def test_the_names_that_code_and_workflows_share() -> None:
    assert reviewed.WORKFLOW in FILES
    assert "\nname: pull request\n" in FILES[reviewed.WORKFLOW]
    assert "path: build/ci/plan/" in FILES[reviewed.WORKFLOW]
    assert "path: build/ci/applied/" in FILES[f"{W}merge.yml"]


def swap(file: str, old: str, new: str, count: int = 1) -> tuple[str, str, str, int]:
    return file, old, new, count


CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
LINE = """    concurrency:
      group: deploy-${{ matrix.environment }}
      cancel-in-progress: false
      queue: max
"""
MUTATIONS = {
    "drop the concurrency group of apply": swap("merge.yml", LINE, ""),
    "drop the concurrency group of promote": swap("release.yml", LINE, ""),
    "drop the concurrency group of retrain": swap("schedule.yml", LINE, ""),
    "rollback in a line of its own": swap("rollback.yml", "group: deploy-", "group: rollback-"),
    "one line for everything": swap("merge.yml", "group: deploy-${{ matrix.environment }}", "group: deploy"),
    "cancel a deployment": swap("merge.yml", LINE, LINE.replace("false", "true")),
    "push the second out of the line": swap("release.yml", "      queue: max\n", ""),
    "unpin an action": swap("merge.yml", CHECKOUT, "actions/checkout@v7"),
    "unpin the composite's action": swap(
        "../actions/setup/action.yml", "@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0", "@v7"
    ),
    "pin by a short commit": swap("merge.yml", CHECKOUT, "actions/checkout@3d3c42e # v7.0.1"),
    "hide the version": swap("merge.yml", CHECKOUT, CHECKOUT.partition(" #")[0]),
    "pin another commit in one place": swap("ci.yml", "@3d3c42e5", "@4d3c42e5"),
    "add an action": swap(
        "merge.yml", "      - name: Set up\n", "      - uses: evil/action@main\n      - name: Set up\n"
    ),
    "widen the top": swap("pull-request.yml", "permissions: {}", "permissions: write-all"),
    "forget the top": swap("pull-request.yml", "permissions: {}\n", ""),
    "read everything at the top": swap("merge.yml", "permissions: {}", "permissions:\n  contents: read"),
    "widen a job": swap("pull-request.yml", "contents: read # check out", "contents: write"),
    "give check a token for AWS": swap(
        "pull-request.yml",
        "    permissions:\n      contents: read # check out\n    steps",
        "    permissions:\n      contents: read\n      id-token: write\n    steps",
    ),
    "forget a job's rights": swap("ci.yml", "    permissions:\n      contents: read # check out\n", ""),
    "leak a secret to forks": swap(
        "pull-request.yml",
        '        run: .venv/bin/python -m pipeline ci plan "$NAME" --environment "$ENVIRONMENT" --offline',
        "          KEY: ${{ secrets.KEY }}\n"
        '        run: .venv/bin/python -m pipeline ci plan "$NAME" --environment "$ENVIRONMENT" --offline',
    ),
    "give forks the plan role": swap(
        "pull-request.yml",
        " && (github.event_name == 'merge_group' ||\n"
        "      github.event.pull_request.head.repo.full_name == github.repository)",
        "",
    ),
    "give forks a token": swap(
        "pull-request.yml",
        "        id: affected\n        run:",
        "        id: affected\n        env:\n          GITHUB_TOKEN: ${{ github.token }}\n        run:",
    ),
    "let a fork be planned with credentials": swap("pull-request.yml", " --offline", ""),
    "start on pull_request_target": swap("pull-request.yml", "  pull_request:\n", "  pull_request_target:\n"),
    "leave the token in the clone": swap("merge.yml", "          persist-credentials: false\n", ""),
    "remove a job from required": swap(
        "pull-request.yml", "needs: [affected, check, plan, plan-fork]", "needs: [affected, check, plan]"
    ),
    "skip required when a job failed": swap(
        "pull-request.yml",
        "    needs: [affected, check, plan, plan-fork]\n    if: always()\n",
        "    needs: [affected, check, plan, plan-fork]\n",
    ),
    "blind required": swap("pull-request.yml", "NEEDS: ${{ toJSON(needs) }}", "NEEDS: '{}'"),
    "required that always passes": swap("pull-request.yml", "pipeline ci required", "pipeline ci context"),
    "rename required": swap("pull-request.yml", "  required:\n", "  all-good:\n"),
    "filter by path": swap(
        "merge.yml",
        "  push:\n    branches: [main]\n",
        "  push:\n    branches: [main]\n    paths: [pipeline/**]\n",
    ),
    "deploy from every branch": swap("merge.yml", "    branches: [main]\n", ""),
    "release from any tag": swap("release.yml", 'tags: ["v*"]', 'tags: ["*"]'),
    "forget the merge queue": swap("pull-request.yml", "  merge_group:\n    branches: [main]\n", ""),
    "production without its reviewers": swap(
        "release.yml", "    environment: ${{ matrix.environment }}\n", ""
    ),
    "deploy to one environment in another's name": swap(
        "merge.yml", "    environment: ${{ matrix.environment }}\n", "    environment: dev\n"
    ),
    "check out the pull request where comments are written": swap(
        "comment.yml",
        "          persist-credentials: false\n",
        "          persist-credentials: false\n          ref: ${{ github.event.workflow_run.head_sha }}\n",
    ),
    "check out the fork where comments are written": swap(
        "comment.yml",
        "          persist-credentials: false\n",
        "          persist-credentials: false\n"
        "          repository: ${{ github.event.workflow_run.head_repository.full_name }}\n",
    ),
    "unpack the artifact unchecked": swap(
        "comment.yml",
        "      - name: Set up\n",
        "      - uses: actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c # v8.0.1\n"
        "      - name: Set up\n",
    ),
    "comment on every run": swap(
        "comment.yml", "    if: github.event.workflow_run.event == 'pull_request'\n", ""
    ),
    "put the event into a shell line": swap(
        "rollback.yml", '--reason "$REASON"', '--reason "${{ github.event.inputs.reason }}"'
    ),
    "two commands in a line": swap("merge.yml", "pipeline ci summary", "pipeline ci summary && true"),
    "a pipe": swap("merge.yml", "pipeline ci summary", "pipeline ci summary | tee log"),
    "an unquoted variable": swap("rollback.yml", '"$REASON"', "$REASON"),
    "a variable nobody sets": swap("rollback.yml", "          REASON: ${{ inputs.reason }}\n", ""),
    "a failure that is not one": swap(
        "merge.yml", "    timeout-minutes: 350\n", "    timeout-minutes: 350\n    continue-on-error: true\n"
    ),
    "a job without an end": swap("rollback.yml", "    timeout-minutes: 60\n", ""),
    "a machine of one's own": swap("pull-request.yml", "runs-on: ubuntu-24.04", "runs-on: self-hosted"),
    "a key in the repository": swap(
        "merge.yml", "  PIPELINE_TARGET: aws\n", "  PIPELINE_TARGET: aws\n  AWS_ACCESS_KEY_ID: AKIA\n"
    ),
    "no provenance": swap("merge.yml", "actions/attest@", "actions/checkout@"),
    "apply that cannot ask for the review": swap(
        "merge.yml",
        "          GITHUB_TOKEN: ${{ github.token }}\n          ENVIRONMENT",
        "          ENVIRONMENT",
    ),
    "no cooldown": swap("../dependabot.yml", "    cooldown:\n      default-days: 7\n", ""),
    "actions that grow old": swap(
        "../dependabot.yml", "package-ecosystem: github-actions", "package-ecosystem: npm"
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_promise_is_noticed(name: str) -> None:
    file, old, new, count = MUTATIONS[name]
    path = (Path(W) / file).as_posix().replace("workflows/../", "")
    assert old in FILES[path], f"the mutation does not fit {path} any more"
    changed = {**FILES, path: FILES[path].replace(old, new, count)}
    assert violations(changed), f"nobody noticed: {name}"


@pytest.mark.parametrize("file", [f"{W}{name}" for name in ("pull-request.yml", "merge.yml", "comment.yml")])
def test_a_missing_workflow_is_noticed(file: str) -> None:
    assert violations({path: text for path, text in FILES.items() if path != file})
