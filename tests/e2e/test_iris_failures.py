"""Every way a run breaks ends in a clear cause, a message, no orphan process, the old endpoint serving."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Iris


@pytest.fixture(autouse=True)
def nothing_is_lost(iris: Iris) -> Iterator[None]:
    """After each failure: the same endpoint config serves, Slack was told, and no job's process is left."""
    before = iris.endpoint()
    told = len(iris.slack.texts)
    yield
    after = iris.endpoint()
    assert after["EndpointStatus"] == "InService"
    assert after["EndpointConfigName"] == before["EndpointConfigName"]
    assert "setosa" in str(iris.answers())
    news = iris.slack.texts[told:]
    assert any("failed" in text or "rejected" in text for text in news), news
    deadline = time.monotonic() + 10
    while left := [
        p.cmdline()
        for p in iris.processes()
        if {"train", "evaluate"} & {w.rsplit("/", 1)[-1] for w in p.cmdline()}
    ]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_the_training_program_crashes(iris: Iris) -> None:
    body = """
    (base / "output").mkdir(exist_ok=True)
    (base / "output/failure").write_text("the third column of train is empty")
    sys.exit(3)
    """
    with iris.program("train", body):
        out = iris.run(iris.day(1), code=1)
    assert "AlgorithmError" in out
    assert "the third column of train is empty" in out
    assert "exit code: 3" in out.lower()


def test_the_training_program_hangs_past_its_limit(iris: Iris) -> None:
    settings = iris.root / "pipeline.toml"
    original = settings.read_text()
    iris.edit("pipeline.toml", r"^max_runtime_seconds = 3600", "max_runtime_seconds = 2")
    try:
        with iris.program("train", "signal.signal(signal.SIGTERM, signal.SIG_DFL); time.sleep(600)"):
            out = iris.run(iris.day(2), code=1)
    finally:
        settings.write_text(original)
    assert "MaxRuntimeExceeded" in out


def test_the_training_program_is_killed(iris: Iris) -> None:
    with iris.program("train", "os.kill(os.getpid(), signal.SIGKILL)"):
        out = iris.run(iris.day(3), code=1)
    assert "AlgorithmError" in out
    assert "137" in out or "SIGKILL" in out


def test_the_evaluation_writes_garbage(iris: Iris) -> None:
    body = """
    (base / "processing/evaluation").mkdir(parents=True, exist_ok=True)
    (base / "processing/evaluation/evaluation.json").write_text("no json at all")
    """
    with iris.program("evaluate", body):
        out = iris.run(iris.day(4), code=1)
    assert "ModelRejected" in out
    assert "Expecting value" in out


def test_the_server_never_gets_healthy(iris: Iris) -> None:
    with iris.program("serve", "print('cannot bind', flush=True); sys.exit(1)"):
        out = iris.run(iris.day(5), code=1)
    assert "ping" in out or "health" in out


def test_a_lambda_raises(iris: Iris) -> None:
    handler = iris.root / "pipeline/lambdas/gate/handler.py"
    original = handler.read_text()
    broken = (
        "class GateIsBroken(Exception):\n    pass\n\n\ndef handler(event, context):\n    raise GateIsBroken"
    )
    handler.write_text(f"{original}\n\n{broken}('on purpose')\n")
    try:
        iris.cli("apply", "iris", "--yes")
        out = iris.run(iris.day(6), code=1)
    finally:
        handler.write_text(original)
        iris.cli("apply", "iris", "--yes")
    assert "GateIsBroken" in out
    assert "on purpose" in out


def machine_role(iris: Iris) -> str:
    machines = iris.client("stepfunctions")
    arn = next(
        m["stateMachineArn"]
        for m in machines.list_state_machines()["stateMachines"]
        if m["name"] == "iris-dev"
    )
    return machines.describe_state_machine(stateMachineArn=arn)["roleArn"].rsplit("/", 1)[-1]


def without(document: dict[str, Any], action: str) -> dict[str, Any]:
    """The policy without one action."""
    statements = []
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if kept := [a for a in actions if a != action]:
            statements.append({**statement, "Action": kept})
    return {**document, "Statement": statements}


def test_a_permission_is_removed_from_the_role(iris: Iris) -> None:
    iam, role = iris.client("iam"), machine_role(iris)
    originals = {}
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        originals[name] = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        changed = without(originals[name], "sagemaker:CreateTrainingJob")
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(changed))
    assert "sagemaker:CreateTrainingJob" in json.dumps(originals)
    try:
        out = iris.run(iris.day(7), code=1)
    finally:
        for name, document in originals.items():
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
    assert "is not authorized to perform: sagemaker:CreateTrainingJob" in out
    assert role in out


def test_an_object_vanishes_between_the_check_and_its_use(iris: Iris) -> None:
    with iris.program("train", "time.sleep(3)", after_the_real_one=True):
        date = iris.day(8)
        following = iris.cli.start("run", "iris", "--date", date, "--follow")
        objects = iris.client("s3").list_objects_v2(
            Bucket="ml-111111111111-eu-west-1", Prefix="input-data-test/2026-03-08/"
        )
        deadline = time.monotonic() + 60
        while not iris.client("sagemaker").list_training_jobs(StatusEquals="InProgress")[
            "TrainingJobSummaries"
        ]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for item in objects["Contents"]:
            iris.client("s3").delete_object(Bucket="ml-111111111111-eu-west-1", Key=item["Key"])
        out, err = following.communicate(timeout=120)
    assert following.returncode == 1
    assert "input-data-test/2026-03-08" in out + err


def test_a_model_that_fails_its_smoke_test_is_taken_back(iris: Iris) -> None:
    """Healthy, so it goes live, and answers nonsense: earlier config back, model Rejected, data still new."""
    date = iris.day(9)
    before = iris.endpoint()["EndpointConfigName"]
    body = """
    from http.server import BaseHTTPRequestHandler, HTTPServer
    class Broken(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200); self.end_headers()
        def do_POST(self):
            self.send_response(500); self.end_headers(); self.wfile.write(b"the model is nonsense")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    host, port = os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    HTTPServer((host, port), Broken).serve_forever()
    """
    with iris.program("serve", body):
        out = iris.run(date, code=1)
    assert "SmokeTestFailed" in out
    assert "the model is nonsense" in out
    sagemaker = iris.client("sagemaker")
    newest = sagemaker.list_model_packages(
        ModelPackageGroupName="iris-dev", SortBy="CreationTime", SortOrder="Descending"
    )["ModelPackageSummaryList"][0]
    assert newest["ModelApprovalStatus"] == "Rejected"
    package = sagemaker.describe_model_package(ModelPackageName=newest["ModelPackageArn"])
    assert "the model is nonsense" in package["ApprovalDescription"]
    mark = iris.client("ssm").get_parameter(Name="/ml/iris-dev/watermark")["Parameter"]["Value"]
    assert json.loads(mark)["date"] != "2026-03-09"
    deadline = time.monotonic() + 30
    while iris.endpoint()["EndpointStatus"] != "InService":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert iris.endpoint()["EndpointConfigName"] == before
