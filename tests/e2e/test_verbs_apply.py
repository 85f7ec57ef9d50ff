"""plan, apply and down through the command line: what changes, what fails, what an interrupt leaves."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Cli


def stack_status(cli: Cli) -> str:
    return json.loads(cli("status", "iris", "--json").stdout)["stack"]["status"]


def leaves(cli: Cli, number: int) -> None:
    """Change one hyperparameter, so that there is something to apply."""
    file = cli.root / "pipeline/definitions/iris/settings.toml"
    text, count = re.subn(r"max_leaf_nodes = \d+", f"max_leaf_nodes = {number}", file.read_text())
    assert count == 1
    file.write_text(text)


def deployed_leaves(cli: Cli) -> str:
    states = cli.client("stepfunctions")
    arn = json.loads(cli("status", "iris", "--json").stdout)["stack"]["outputs"]["StateMachineArn"]
    definition = json.loads(states.describe_state_machine(stateMachineArn=arn)["definition"])
    return definition["States"]["Train"]["Parameters"]["HyperParameters"]["max_leaf_nodes"]


def change_sets(cli: Cli) -> list[str]:
    """Ours that wait to be executed."""
    found = cli.client("cloudformation").list_change_sets(StackName="iris-dev")["Summaries"]
    return [
        each["ChangeSetName"]
        for each in found
        if each["ChangeSetName"].startswith("pipeline-") and each["ExecutionStatus"] == "AVAILABLE"
    ]


def test_a_plan_touches_nothing(cli: Cli) -> None:
    cli("local", "up")
    done = cli("plan", "iris", "--json", "--detailed-exitcode", code=10)
    plan = json.loads(done.stdout)
    assert plan["pipeline_stack"]["operation"] == "create"
    assert {"Add"} == {change["action"] for change in plan["pipeline_stack"]["changes"]}
    assert not plan["image"]["digest"]
    assert cli.client("cloudformation").describe_stacks()["Stacks"] == []
    assert cli.client("s3").list_buckets()["Buckets"] == []
    again = json.loads(cli("plan", "iris", "--json").stdout)
    assert again == plan


def test_a_creation_that_fails_tells_the_cause_and_the_next_one_starts_anew(cli: Cli) -> None:
    # Something in the way that a person made by hand.
    ssm = cli.client("ssm")
    ssm.put_parameter(Name="/ml/iris-dev/watermark", Value="mine", Type="String")
    failed = cli("apply", "iris", "--yes", code=4)
    assert "Watermark (AWS::SSM::Parameter) CREATE_FAILED" in failed.stderr
    assert "failed to create" not in failed.stderr.rsplit("error:", 1)[1]
    assert stack_status(cli) == "ROLLBACK_COMPLETE"
    ssm.delete_parameter(Name="/ml/iris-dev/watermark")
    done = cli("apply", "iris", "--yes")
    assert "deleting it first" in done.stderr
    assert stack_status(cli) == "CREATE_COMPLETE"


def test_applied_is_as_desired_and_a_second_apply_changes_nothing(cli: Cli) -> None:
    assert "No changes." in cli("plan", "iris", "--detailed-exitcode").stdout
    result = json.loads(cli("apply", "iris", "--json").stdout)
    assert result["changed"] is False
    assert "@sha256:" in result["image_uri"]
    report = json.loads(cli("status", "iris", "--json").stdout)
    assert report["drift"]["changes"] == 0
    assert report["endpoint"] is None


def test_exactly_a_reviewed_plan_is_applied_or_nothing(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    leaves(cli, 6)
    shown = cli("plan", "iris", "--out", str(file)).stdout
    assert 'DefinitionString.States.Train.Parameters.HyperParameters.max_leaf_nodes: "5" -> "6"' in shown
    leaves(cli, 7)
    refused = cli("apply", "iris", "--plan", str(file), code=4)
    assert "the working tree moved:" in refused.stderr
    assert (
        'DefinitionString.States.Train.Parameters.HyperParameters.max_leaf_nodes: "6" -> "7"'
        in refused.stderr
    )
    assert deployed_leaves(cli) == "5"
    leaves(cli, 6)
    cli("apply", "iris", "--plan", str(file))
    assert deployed_leaves(cli) == "6"
    # Done already: nothing is left to do, and that is well.
    cli("apply", "iris", "--plan", str(file))
    file.write_text(file.read_text().replace('"6"', '"9"'))
    assert "changed after it was written" in cli("apply", "iris", "--plan", str(file), code=4).stderr


def test_two_applies_at_once_end_well_and_in_one_state(cli: Cli) -> None:
    leaves(cli, 11)
    both = [cli.start("apply", "iris", "--yes") for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert deployed_leaves(cli) == "11"
    assert stack_status(cli) == "UPDATE_COMPLETE"
    assert change_sets(cli) == []


@pytest.mark.parametrize(("sign", "number"), [(signal.SIGINT, 12), (signal.SIGKILL, 13)])
def test_an_interrupted_apply_is_finished_by_the_next(cli: Cli, sign: signal.Signals, number: int) -> None:
    leaves(cli, number)
    process = cli.start("apply", "iris", "--yes")
    assert process.stderr is not None
    # Right in the middle: the change set is about to be made or executed.
    for line in process.stderr:
        if line.startswith("pipeline stack"):
            break
    process.send_signal(sign)
    _, err = process.communicate(timeout=60)
    if sign == signal.SIGINT:
        assert process.returncode == 130
        assert "Where things stand" in err
        assert "pipeline stack iris-dev:" in err
        assert "go on with: pipeline apply iris" in err
    cli("apply", "iris", "--yes")
    assert deployed_leaves(cli) == str(number)
    assert change_sets(cli) == []
    assert "No changes." in cli("plan", "iris", "--detailed-exitcode").stdout


def test_what_nobody_can_find_is_told_with_what_to_do(cli: Cli) -> None:
    assert "no execution" in cli("run", "iris", "--execution", "nope", code=1).stderr
    assert "no endpoint yet" in cli("invoke", "iris", code=1).stderr
    assert "never run" in cli("logs", "iris", code=1).stderr
    assert "not a date" in cli("run", "iris", "--date", "tomorrow", code=2).stderr
    assert "--yes" in cli("down", "iris", code=1).stderr
    (error,) = json.loads(cli("invoke", "iris", "--json", code=1).stdout)["errors"]
    assert error["hint"] == "pipeline run iris --follow"


def test_down_leaves_nothing_and_says_nothing_is_left(cli: Cli) -> None:
    cli("data", "iris", "put")
    first = json.loads(cli("down", "iris", "--yes", "--json").stdout)
    assert "stack iris-dev" in first["removed"]
    assert any("your data" in line for line in first["left"])
    assert any("ml-account" in line for line in first["left"])
    last = json.loads(cli("down", "iris", "--all", "--yes", "--json").stdout)
    assert last["left"] == []
    assert cli.client("cloudformation").describe_stacks()["Stacks"] == []
    assert cli.client("s3").list_buckets()["Buckets"] == []
    assert cli.client("ecr").describe_repositories()["repositories"] == []
    assert (
        cli.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/iris-dev")["logGroups"] == []
    )
    again = json.loads(cli("down", "iris", "--all", "--yes", "--json").stdout)
    assert again == {"removed": [], "left": []}


def test_help_of_every_verb_teaches_by_example_and_costs_little(cli: Cli) -> None:
    script = (
        "import sys; from pipeline.cli import build_parser; build_parser();"
        "sys.exit(1 if {'boto3', 'botocore', 'pydantic', 'yaml'} & set(sys.modules) else 0)"
    )
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", script], cwd=cli.root, check=False).returncode == 0
    assert time.monotonic() - began < 2
    for verb in ("plan", "apply", "data", "run", "status", "logs", "graph", "invoke", "approve", "down"):
        text = cli(verb, "--help").stdout
        assert f"pipeline {verb}" in text.split("examples:")[1]
        assert "--json" in text
