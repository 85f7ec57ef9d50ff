"""plan in all its parts, smoke, and apply held to a plan, through the command line on one deployed iris."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Cli


def git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", "-C", str(root), *who, *arguments], check=True, capture_output=True)


def edit(cli: Cli, name: str, pattern: str, replacement: str) -> None:
    file = cli.root / name
    text, count = re.subn(pattern, replacement, file.read_text(), count=1)
    assert count == 1, pattern
    file.write_text(text)


def leaves(cli: Cli, number: int) -> None:
    edit(
        cli, "pipeline/definitions/iris/settings.toml", r"max_leaf_nodes = \d+", f"max_leaf_nodes = {number}"
    )


def cloudformation(cli: Cli) -> Any:
    return cli.client("cloudformation")


def does(plan: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["does"] for step in plan["report"]["steps"]}


def left(cli: Cli) -> list[str]:
    """What a smoke run left: folders, and processes that have to do with them."""
    places = cli.root / ".pipeline" / "smoke"
    found = [str(path) for path in places.iterdir()] if places.is_dir() else []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(places) in line:
            found.append(line)
    return found


@pytest.fixture(scope="module", autouse=True)
def committed(shared_repository: Path) -> None:
    """The module's copy is a repository whose main branch holds it as it is."""
    (shared_repository / ".gitignore").write_text(".pipeline/\n__pycache__/\n")
    git(shared_repository, "init")
    git(shared_repository, "add", "-A")
    git(shared_repository, "commit", "-qm", "as it is")


def test_offline_needs_no_target_and_no_credentials_and_has_the_same_digest_anywhere(
    cli: Cli, tmp_path: Path
) -> None:
    same = json.loads(cli("plan", "iris", "--offline", "--json", "--detailed-exitcode").stdout)
    assert not same["changes"]
    # A fork's job on the local remote: the name is of the repository, not of one commit of it.
    named = Cli(cli.root, {"PIPELINE_GITHUB_REPOSITORY": "local/ml"})
    assert not json.loads(named("plan", "iris", "--offline", "--json").stdout)["changes"]
    leaves(cli, 6)
    done = cli("plan", "iris", "--offline", "--base", "main", "--detailed-exitcode", code=10)
    assert "offline, against main (" in done.stdout
    assert 'state Train: HyperParameters.max_leaf_nodes "5" -> "6"' in done.stdout
    assert "what is deployed: compared with a commit instead" in done.stdout
    assert not (cli.root / ".pipeline" / "local").exists(), "a target was started"
    here = json.loads(cli("plan", "iris", "--offline", "--json").stdout)
    assert here["digest"] != same["digest"]
    assert does(here)["Train"] == does(here)["model"] == "run"
    # Another folder, another commit of the same content.
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(cli.root, elsewhere, ignore=shutil.ignore_patterns(".pipeline", "__pycache__"))
    git(elsewhere, "commit", "-qam", "squashed")
    there = json.loads(Cli(elsewhere)("plan", "iris", "--offline", "--base", "HEAD~1", "--json").stdout)
    assert there["digest"] == here["digest"]
    assert "no commit 'nope'" in cli("plan", "iris", "--offline", "--base", "nope", code=2).stderr
    assert "--base is for --offline" in cli("plan", "iris", "--base", "main", code=2).stderr
    online = json.loads(cli("plan", "iris", "--json").stdout)
    assert online["digest"] == here["digest"]
    leaves(cli, 5)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_a_smoke_run_that_is_ended_leaves_nothing_for_long(cli: Cli, sign: signal.Signals) -> None:
    process = cli.start("smoke", "iris")
    assert process.stderr is not None
    for line in process.stderr:
        if "Train" in line:
            break
    assert left(cli)
    process.send_signal(sign)
    process.communicate(timeout=60)
    if sign != signal.SIGKILL:
        assert process.returncode == 130
        assert left(cli) == []


def test_a_runner_that_ends_the_command_is_taken_for_ctrl_c() -> None:
    from pipeline.cli._ephemeral import _terminable

    with pytest.raises(KeyboardInterrupt), _terminable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_a_smoke_run_trains_gates_and_serves_and_is_gone(cli: Cli) -> None:
    # What the killed one left is in the way of nothing, and is removed.
    result = json.loads(cli("smoke", "iris", "--json").stdout)
    assert result["status"] == "SUCCEEDED"
    assert result["approved"] is True
    assert 0.8 < result["metrics"]["accuracy"] <= 1
    assert result["gate"][0][1] is True
    assert left(cli) == []
    stacks = cloudformation(cli).describe_stacks()["Stacks"]
    assert stacks == [], "the user's own target was touched"


def test_without_a_terminal_apply_shows_its_plan_and_wants_a_yes(cli: Cli) -> None:
    done = cli("apply", "iris", code=1)
    assert "to add" in done.stdout
    assert "--yes" in done.stderr
    assert cloudformation(cli).describe_stacks()["Stacks"] == []
    cli("apply", "iris", "--yes")


def test_the_forecast_is_what_the_run_then_does(cli: Cli) -> None:
    cli("data", "iris", "put")
    first = json.loads(cli("plan", "iris", "--json").stdout)
    assert does(first)["Train"] == does(first)["deploy"] == "run"
    cli("run", "iris", "--follow")
    assert set(does(json.loads(cli("plan", "iris", "--json").stdout)).values()) <= {"skip", "run"}
    again = json.loads(cli("plan", "iris", "--json").stdout)
    assert does(again)["Train"] == "skip"
    assert "already trained on" in next(s["why"] for s in again["report"]["steps"] if s["step"] == "data")
    assert again["report"]["champion"]["metrics"]["accuracy"] > 0.8
    after = again["report"]["cost"]["after"]
    train = next(line for line in after["lines"] if line["what"] == "Train")
    assert train["high"] is not None
    assert "took" in train["note"], "counted by the last job's time"


def test_the_comment_shows_the_change_beside_what_serves(cli: Cli, tmp_path: Path) -> None:
    leaves(cli, 7)
    files = {name: tmp_path / name for name in ("plan.json", "plan.md", "plan.svg")}
    cli(
        *("plan", "iris", "--smoke", "--detailed-exitcode"),
        *(
            "--out",
            str(files["plan.json"]),
            "--markdown",
            str(files["plan.md"]),
            "--svg",
            str(files["plan.svg"]),
        ),
        code=10,
    )
    page = files["plan.md"].read_text()
    assert len(page.encode()) < 65_536
    assert '! state Train: HyperParameters.max_leaf_nodes "5" -> "7"' in page
    assert "```mermaid" in page
    assert re.search(r"\| `accuracy` \| 0\.\d+ \| 0\.\d+ \|", page), "the sample's beside the champion's"
    assert "| `Train` | runs |" in page
    assert "#9a6700" in files["plan.svg"].read_text(), "the changed state has its colour"
    assert left(cli) == []
    # The reviewed plan is applied under another commit with the same content: a squash merge.
    git(cli.root, "commit", "-qam", "seven leaves")
    cli("apply", "iris", "--plan", str(files["plan.json"]))
    assert "No changes." in cli("plan", "iris", "--detailed-exitcode").stdout


def test_a_smoke_run_that_the_gate_stops_is_exit_code_1_and_is_shown(cli: Cli, tmp_path: Path) -> None:
    edit(cli, "pipeline/definitions/iris/settings.toml", r"minimum = 0.88", "minimum = 0.999")
    report = tmp_path / "plan.md"
    done = cli("plan", "iris", "--smoke", "--markdown", str(report), code=1)
    assert "did not pass the gate" in done.stdout
    assert "ModelRejected" in report.read_text()
    edit(cli, "pipeline/definitions/iris/settings.toml", r"minimum = 0.999", "minimum = 0.88")
    assert left(cli) == []


def test_a_stack_that_moved_between_plan_and_apply_is_refused_with_the_difference(
    cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "plan.json"
    leaves(cli, 8)
    cli("plan", "iris", "--out", str(file))
    stacks = cloudformation(cli)
    standing = stacks.describe_stacks(StackName="iris-dev")["Stacks"][0]
    stacks.update_stack(
        StackName="iris-dev",
        UsePreviousTemplate=True,
        Parameters=[
            {"ParameterKey": p["ParameterKey"], "UsePreviousValue": True} for p in standing["Parameters"]
        ],
        Tags=[*standing["Tags"], {"Key": "by-hand", "Value": "yes"}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    deadline = time.monotonic() + 60
    while stacks.describe_stacks(StackName="iris-dev")["Stacks"][0]["StackStatus"] != "UPDATE_COMPLETE":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    refused = cli("apply", "iris", "--plan", str(file), code=4)
    assert "the deployed stack moved:" in refused.stderr
    assert "iris-dev would also need: change Tags.by-hand" in refused.stderr
    assert "pipeline plan iris -e dev --out FILE" in refused.stderr
    leaves(cli, 9)
    refused = cli("apply", "iris", "--plan", str(file), code=4)
    assert "the working tree moved:" in refused.stderr
    assert 'max_leaf_nodes: "8" -> "9"' in refused.stderr
    cli("apply", "iris", "--yes")
    assert "No changes." in cli("plan", "iris").stdout


def test_help_and_import_cost_little() -> None:
    code = "import sys, pipeline.cli.plan, pipeline.cli.smoke; sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
