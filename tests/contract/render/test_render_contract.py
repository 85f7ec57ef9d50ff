"""iris as rendered, held against AWS's own models: requests, statuses, actions; and to the byte."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from pipeline import caches, settings
from pipeline.render import Rendered, account, render
from pipeline.render.tasks import call, states, tasks
from tests.conftest import REPOSITORY, copy_repository

ENVIRONMENTS = ("dev", "staging", "production")
ROLE = "arn:aws:iam::123456789012:role/any"


@cache
def rendered(environment: str) -> Rendered:
    return render(settings.load(REPOSITORY, "iris", environment))


@cache
def model(service: str) -> Any:
    names = {"applicationautoscaling": "application-autoscaling"}
    return botocore.session.get_session().get_service_model(names.get(service, service))


# --- requests


def stand_in(shape: Any) -> Any:
    """A value that the shape takes, for a field whose value only a run knows."""
    kind = shape.type_name
    if kind == "structure":
        return {name: stand_in(shape.members[name]) for name in shape.required_members}
    if kind == "list":
        return [stand_in(shape.member)]
    return {"map": {}, "integer": 1, "long": 1, "boolean": True}.get(kind, "x" * 20)


def concrete(value: Any, shape: Any) -> Any:
    """A request with stand-ins for its paths (`Key.$`) and a role for the role tokens."""
    if isinstance(value, dict):
        request = {}
        for key, item in value.items():
            name = key.removesuffix(".$")
            inner = shape.value if shape.type_name == "map" else shape.members.get(name)
            dynamic = key != name and inner is not None
            request[name] = stand_in(inner) if dynamic else concrete(item, inner) if inner else item
        return request
    if isinstance(value, list):
        return [concrete(item, shape.member) for item in value]
    return re.sub(r"\$\{\w+RoleArn\}", ROLE, value) if isinstance(value, str) else value


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_request_is_one_that_the_api_takes(environment: str) -> None:
    seen = set()
    for name, state in tasks(rendered(environment).asl):
        called = call(state["Resource"])
        assert called is not None, name
        if called.service == "lambda":
            assert set(state["Parameters"]) == {"FunctionName", "Payload"}, name
            continue
        shape = model(called.service).operation_model(called.operation).input_shape
        report = ParamValidator().validate(concrete(state["Parameters"], shape), shape)
        assert not report.has_errors(), f"{name}: {report.generate_report()}"
        seen.add(called.operation)
    assert {"CreateTrainingJob", "CreateProcessingJob", "CreateModelPackage", "UpdateEndpoint"} <= seen


def test_the_api_keys_patterns_of_the_registry_metadata() -> None:
    """botocore does not check patterns, and the registry refuses what breaks one."""
    metadata = rendered("dev").asl["States"]["Register"]["Parameters"]["CustomerMetadataProperties"]
    assert {key.removesuffix(".$") for key in metadata} >= {
        "git_sha",
        "image",
        "data_version",
        "data_date",
        "fingerprint",
        "execution",
    }
    assert all(re.fullmatch(r"[\w.:/=+@-]{1,128}", key.removesuffix(".$")) for key in metadata)


# --- statuses


def compared(rule: dict[str, Any]) -> set[str]:
    """All texts that a choice rule compares with, nested ones included."""
    found = {rule["StringEquals"]} if "StringEquals" in rule else set()
    for key in ("And", "Or"):
        for inner in rule.get(key, []):
            found |= compared(inner)
    return found


@pytest.mark.parametrize("choice", ["EndpointTakesUpdates", "EndpointInService"])
def test_every_endpoint_status_has_its_rule_and_a_new_one_fails(choice: str) -> None:
    machine = rendered("dev").asl["States"]
    statuses = set(model("sagemaker").shape_for("EndpointStatus").enum)
    ruled = {status for rule in machine[choice]["Choices"] for status in compared(rule)}
    assert ruled == statuses
    otherwise = machine[machine[choice]["Default"]]
    assert otherwise["Type"] == "Pass" and otherwise["Next"] == "HasCause"


def outcome(choice: str, data: dict[str, Any]) -> str:
    """Where a Choice goes with this data: a small interpreter of the rules we use."""
    machine = rendered("dev").asl["States"]

    def value(path: str) -> Any:
        found: Any = data
        for part in path.removeprefix("$.").split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def holds(rule: dict[str, Any]) -> bool:
        if "And" in rule:
            return all(holds(inner) for inner in rule["And"])
        if "Or" in rule:
            return any(holds(inner) for inner in rule["Or"])
        if "Not" in rule:
            return not holds(rule["Not"])
        given = value(rule["Variable"])
        if "IsPresent" in rule:
            return (given is not None) == rule["IsPresent"]
        if "StringEqualsPath" in rule:
            return bool(given == value(rule["StringEqualsPath"]))
        if "NumericGreaterThanEquals" in rule:
            return bool(given >= rule["NumericGreaterThanEquals"])
        if "NumericLessThan" in rule:
            return bool(given < rule["NumericLessThan"])
        if "StringMatches" in rule:
            return fnmatch.fnmatchcase(str(given), rule["StringMatches"])
        return bool(given == rule["StringEquals"])

    for rule in machine[choice]["Choices"]:
        if holds(rule):
            return str(rule["Next"])
    return str(machine[choice]["Default"])


@pytest.mark.parametrize(
    ("status", "polls", "before", "after"),
    [
        ("InService", 0, "StopScaling", "EndpointRunsRequestedConfig"),
        ("InService", 999, "StopScaling", "EndpointRunsRequestedConfig"),
        ("Creating", 0, "CountWaitForOthers", "CountWaitForEndpoint"),
        ("RollingBack", 0, "CountWaitForOthers", "CountWaitForEndpoint"),
        ("SystemUpdating", 999, "EndpointBusy", "EndpointTimedOut"),
        ("Deleting", 0, "CountWaitForOthers", "EndpointFailed"),
        ("Failed", 0, "DeleteFailedEndpoint", "EndpointFailed"),
        ("OutOfService", 0, "StopScaling", "EndpointFailed"),
        ("UpdateRollbackFailed", 0, "StopScaling", "EndpointFailed"),
        ("Dreaming", 0, "EndpointNotDeployable", "EndpointFailed"),
    ],
)
def test_what_each_status_leads_to(status: str, polls: int, before: str, after: str) -> None:
    counted = {"deployment": {"polls": polls}, "requested": {"EndpointConfigName": "new"}}
    found = {"EndpointStatus": status, "EndpointConfigName": "old"}
    assert outcome("EndpointTakesUpdates", {"before": found, **counted}) == before
    assert outcome("EndpointInService", {"endpoint": {"EndpointStatus": status}, **counted}) == after


def test_an_endpoint_that_runs_the_config_already_is_not_updated_again() -> None:
    """UpdateEndpoint's answer was lost; a second one would be refused."""
    data = {"before": {"EndpointConfigName": "new"}, "requested": {"EndpointConfigName": "new"}}
    data["deployment"] = {"polls": 0}  # type: ignore[dict-item]
    for status, onward in (("InService", "WatchEndpoint"), ("OutOfService", "StopScaling")):
        data["before"]["EndpointStatus"] = status
        assert outcome("EndpointTakesUpdates", data) == onward


@pytest.mark.parametrize(
    ("task", "error", "said", "onward"),
    [
        (
            "CreateModel",
            "SageMaker.AmazonSageMakerException",
            'Cannot create already existing model "arn:m".',
            "CreateEndpointConfig",
        ),
        (
            "CreateEndpointConfig",
            "SageMaker.AmazonSageMakerException",
            'Cannot create already existing endpoint configuration "arn:c".',
            "NameRequestedConfig",
        ),
        (
            "CreateEndpoint",
            "SageMaker.AmazonSageMakerException",
            'Cannot create already existing endpoint "arn:e".',
            "CountWaitForOthers",
        ),
        (
            "UpdateEndpoint",
            "SageMaker.AmazonSageMakerException",
            'Cannot update in-progress endpoint "arn:e".',
            "CountWaitForOthers",
        ),
        (
            "DeleteFailedEndpoint",
            "SageMaker.SageMakerException",
            'Cannot update in-progress endpoint "arn:e".',
            "CountWaitForOthers",
        ),
        (
            "DescribeEndpoint",
            "SageMaker.SageMakerException",
            'Could not find endpoint "arn:e".',
            "CreateEndpoint",
        ),
    ],
)
def test_a_repeated_call_goes_on_and_anything_else_fails(
    task: str, error: str, said: str, onward: str
) -> None:
    """AWS has no error names for these: only its words tell them from a wrong request."""
    machine = rendered("dev").asl["States"]
    catch = machine[task]["Catch"][0]
    assert catch["ErrorEquals"] == [error]
    choice, path = catch["Next"], catch["ResultPath"].removeprefix("$.")
    assert outcome(choice, {path: {"Error": error, "Cause": f"{said} (Service: AmazonSageMaker)"}}) == onward
    denied = "User: arn:x is not authorized to perform: sagemaker:any on resource: arn:y"
    otherwise = outcome(choice, {path: {"Error": error, "Cause": denied}})
    assert machine[otherwise] == {
        "Type": "Pass",
        "InputPath": f"$.{path}",
        "ResultPath": "$.error",
        "Next": "HasCause",
    }


@pytest.mark.parametrize("job", ["Train", "Evaluate"])
def test_what_a_job_that_failed_leads_to(job: str) -> None:
    """The cause of States.TaskFailed is the job's description as JSON."""

    def failed(waits: int, error: dict[str, str]) -> str:
        attempts = {f"{job.lower()}_attempts": {"waits": waits}}
        return outcome(f"Lacks{job}Capacity", {"error": error, **attempts})

    lacking = {"FailureReason": "CapacityError: Unable to provision requested ML compute capacity."}
    cause = {"Error": "States.TaskFailed", "Cause": json.dumps(lacking, separators=(",", ":"))}
    assert failed(0, cause) == f"Count{job}Wait"
    assert failed(3, cause) == f"{job}Failed", "it does not wait for ever"
    broken = {"FailureReason": "AlgorithmError: CapacityError: , exit code: 1"}
    assert failed(0, {"Error": "States.TaskFailed", "Cause": json.dumps(broken)}) == f"{job}Failed"
    assert failed(0, {"Error": "States.Permissions"}) == f"{job}Failed"


def test_a_reason_is_told_where_there_is_one() -> None:
    endpoint = {"EndpointStatus": "Failed", "FailureReason": "no ping"}
    data = {"endpoint": endpoint, "deployment": {"polls": 0}}
    assert outcome("EndpointInService", data) == "EndpointFailedBecause"


def test_a_silent_rollback_is_a_failure() -> None:
    asked = {"requested": {"EndpointConfigName": "new"}, "before": {"EndpointConfigName": "old"}}
    choice = "EndpointRunsRequestedConfig"
    assert outcome(choice, {"endpoint": {"EndpointConfigName": "new"}, **asked}) == "SmokeTest"
    back = {"endpoint": {"EndpointConfigName": "old"}, **asked}
    assert outcome(choice, back) == "RollbackSaysWhy"
    assert outcome("RollbackSaysWhy", back) == "EndpointRolledBack"
    why = {"EndpointConfigName": "old", "FailureReason": "alarm"}
    assert outcome("RollbackSaysWhy", {"endpoint": why, **asked}) == "EndpointRolledBackBecause"
    # a reason left over from an earlier update is no failure of this one
    assert outcome(choice, {"endpoint": {**why, "EndpointConfigName": "new"}, **asked}) == "SmokeTest"
    # nothing was rolled back when another run's config serves, after an update as after a creation
    other = {"endpoint": {"EndpointConfigName": "of-another-run"}}
    assert outcome(choice, {**other, **asked}) == "EndpointSuperseded"
    assert outcome(choice, {**other, "requested": asked["requested"], "before": {}}) == "EndpointSuperseded"


# --- permissions


def policies(template: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, statement)
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::IAM::Role"
        for policy in resource["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_actions_exist_and_are_bound_to_resources_where_iam_can(environment: str) -> None:
    from policy_sentry.querying.actions import get_action_data

    for role, statement in policies(rendered(environment).template):
        for action in statement["Action"]:
            service, name = action.split(":")
            data = get_action_data(service, name)
            assert data, f"{role}: {action} is no action of IAM"
            kinds = {entry["resource_arn_format"] for entry in data[service]}
            if "*" in statement["Resource"]:
                assert kinds == {"*"}, f"{role}: {action} could be bound to {sorted(kinds)}"
            for arn in statement["Resource"]:
                if isinstance(arn, str) and arn != "*":
                    assert any(same_kind(arn, kind) for kind in kinds), f"{role}: {action} knows no {arn}"


def same_kind(arn: str, kind: str) -> bool:
    """Whether an ARN pattern of ours is of a resource type such as `arn:...:training-job/${Name}`."""
    pattern = re.sub(r"\\\$\\\{\w+\\\}", ".*", re.escape(kind))
    return re.fullmatch(pattern, arn) is not None


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_logs_are_allowed_on_the_arn_that_iam_weighs(environment: str) -> None:
    """IAM weighs CreateLogGroup and DescribeLogStreams on `<group>:log-stream:`, the others on a stream."""
    written = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents")
    seen = set()
    for role, statement in policies(rendered(environment).template):
        for action in set(written) & set(statement["Action"]):
            for arn in statement["Resource"]:
                group = re.fullmatch(r"(arn:aws:logs:[\w-]+:\d{12}:log-group:[^:*]+):.*", arn)
                assert group, f"{role}: {action} is not bound to one group by {arn}"
                stream = "" if action.endswith(("LogGroup", "LogStreams")) else "job/algo-1-1"
                asked = f"{group[1]}:log-stream:{stream}"
                assert fnmatch.fnmatchcase(asked, arn), f"{role}: {action} on {asked}"
                seen.add((role, action))
    for actor in ("Training", "Processing", "Model"):
        assert {(f"{actor}Role", action) for action in written} <= seen


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_role_trusts_one_service_of_this_account(environment: str) -> None:
    for name, resource in rendered(environment).template["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            (trust,) = resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            service = trust["Principal"]["Service"]
            assert service.endswith(".amazonaws.com") and list(trust["Principal"]) == ["Service"], name
            assert service == "lambda.amazonaws.com" or "aws:SourceAccount" in str(trust["Condition"]), name


# --- bytes

SHOW = """
import json, sys
from pathlib import Path
from pipeline import caches, settings
from pipeline.render import account, render
loaded = settings.load(Path(sys.argv[1]), "iris", "production")
done = render(loaded)
print(json.dumps([done.digest, done.template_json, done.asl_json,
                  [package.content.hex() for package in done.lambdas], account(loaded)]))
"""


def test_the_same_bytes_in_any_process_folder_and_clime(tmp_path: Path) -> None:
    """Two clones, rendered cold at once: other folder, umask, time zone, locale, hash seed, AWS settings."""
    processes = []
    for number, climate in enumerate(
        (
            {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "1", "LC_ALL": "C"},
            {"TZ": "America/Lima", "PYTHONHASHSEED": "2", "AWS_PROFILE": "x", "AWS_REGION": "us-west-2"},
        )
    ):
        root = copy_repository(tmp_path / f"clone-{number}" / ("deep" * number))
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", SHOW, str(root)],
                cwd=[root, tmp_path][number],
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(root),
                    # Each renders for itself, out of nobody's cache.
                    "XDG_CACHE_HOME": str(tmp_path / f"cache-{number}"),
                    **climate,
                },
                umask=[0o077, 0o002][number],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    first, second = (process.communicate(timeout=120)[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert first == second
    assert str(tmp_path) not in first
    assert json.loads(first)[0] == rendered("production").digest


def test_a_second_render_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copy_repository(tmp_path)
    loaded = settings.load(root, "iris", "dev")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache = caches.folder("render")
    cold = render(loaded)
    (entry,) = cache.glob("*.json")
    whole = entry.read_text()

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("rendered again although nothing changed")

    monkeypatch.setattr(subprocess, "run", refuse)
    started = time.perf_counter()
    assert render(loaded) == cold
    assert time.perf_counter() - started < 1, "a warm render is some milliseconds"

    # what was cut short, as by a full disk, is no entry
    entry.write_text(whole[:100])
    with pytest.raises(AssertionError, match="rendered again"):
        render(loaded)
    entry.write_text(whole)
    definition = root / "pipeline" / "definitions" / "iris" / "definition.py"
    definition.write_text(definition.read_text() + "\n# changed\n")
    with pytest.raises(AssertionError, match="rendered again"):
        render(loaded)


# --- linters


def test_linters_have_nothing_to_say(tmp_path: Path) -> None:
    """statelint and cfn-lint by their own command lines, away from `pipeline check`."""
    machine, template, shared = (
        tmp_path / name for name in ("machine.json", "template.json", "account.json")
    )
    machine.write_text(rendered("production").asl_json)
    template.write_text(rendered("production").template_json)
    shared.write_text(json.dumps(account(settings.load(REPOSITORY, "iris", "production"))))
    bin_folder = Path(sys.executable).parent
    for command in (
        [bin_folder / "statelint", "--ignore=URI,FLOAT", machine],
        [bin_folder / "cfn-lint", "--regions", "eu-west-1", "--", template, shared],
    ):
        lint = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (lint.returncode, lint.stdout.strip()) == (0, ""), lint.stdout + lint.stderr


def test_rendered_parts_fit_the_limits_of_aws() -> None:
    for environment in ENVIRONMENTS:
        made = rendered(environment)
        assert len(made.asl_json.encode()) < 1_048_576
        assert len(made.template_json.encode()) < 1_000_000
        assert len(made.template["Resources"]) < 500
        assert all(len(name) <= 80 for name, _ in states(made.asl))
        for role, statements in _sizes(made.template).items():
            assert statements < 10_240, f"inline policies of {role} exceed IAM's limit"


def test_the_functions_runtime_is_one_of_the_api() -> None:
    from pipeline.render.functions import RUNTIME

    assert RUNTIME in model("lambda").shape_for("Runtime").enum


def _sizes(template: dict[str, Any]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for role, statement in policies(template):
        sizes[role] = sizes.get(role, 0) + len(json.dumps(statement, separators=(",", ":")))
    return sizes
