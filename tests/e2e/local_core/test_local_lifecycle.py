"""Start, stop, kill: one server a repository, found again, with its state, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from pipeline.errors import TargetError
from pipeline.local import down, ensure_up, processes, reset, status
from pipeline.local.paths import StatePaths
from tests.e2e.local_core.conftest import ACCOUNT, REGION, Target, until


def kill(target: Target) -> None:
    os.kill(target.up.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(target.up.pid)] if psutil.pid_exists(target.up.pid) else [], timeout=5)


def test_two_starts_at_once_give_one_server(tmp_path: Path) -> None:
    try:
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(ensure_up, [tmp_path] * 4))
        assert len(found) == 1
        servers = [
            each.pid
            for each in psutil.process_iter(["cmdline"])
            if "pipeline.local.server" in (each.info["cmdline"] or ())
            and str(tmp_path) in each.info["cmdline"]
        ]
        assert servers == [found.pop().pid]
    finally:
        down(tmp_path)


def test_it_leads_a_session_of_its_own_and_listens_on_loopback_only(fresh: Target) -> None:
    assert os.getsid(fresh.up.pid) == fresh.up.pid != os.getsid(0)
    listening = [
        c for c in psutil.Process(fresh.up.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN
    ]
    assert {each.laddr.ip for each in listening} == {"127.0.0.1"}


def test_side_by_side(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for root in (first, second):
        root.mkdir()
    one, two = Target(first, ensure_up(first)), Target(second, ensure_up(second))
    try:
        assert one.up.endpoint_url != two.up.endpoint_url
        one.client("ssm").put_parameter(Name="/only-here", Value="1", Type="String")
        assert two.client("ssm").describe_parameters()["Parameters"] == []
        down(first)
        assert status(first).state == "stopped"
        assert two.client("sts").get_caller_identity()["Account"] == ACCOUNT
    finally:
        down(first)
        down(second)


def test_the_port_is_kept_over_a_restart_unless_taken(fresh: Target) -> None:
    port = int(fresh.up.endpoint_url.rpartition(":")[2])
    down(fresh.root)
    fresh.again()
    assert fresh.up.endpoint_url.endswith(f":{port}")
    down(fresh.root)
    with socket.create_server(("127.0.0.1", port)):
        fresh.again()
        assert not fresh.up.endpoint_url.endswith(f":{port}")
        assert fresh.client("sts").get_caller_identity()["Account"] == ACCOUNT


def test_state_survives_sigkill(fresh: Target) -> None:
    role = fresh.role("machine", "states", {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    worker = fresh.role("worker", "lambda")
    fresh.function("f", "def handler(e, c): print('seen'); return e", worker)
    s3 = fresh.client("s3")
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(
        Bucket="kept", Key="a/b.txt", Body=b"content", ContentType="text/plain", Metadata={"m": "1"}
    )
    states = fresh.client("stepfunctions")
    definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"x": 1}, "End": True}}}
    machine = states.create_state_machine(name="m", definition=json.dumps(definition), roleArn=role)
    run = states.start_execution(stateMachineArn=machine["stateMachineArn"], name="run", input="{}")
    until(lambda: states.describe_execution(executionArn=run["executionArn"])["status"] == "SUCCEEDED")
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    cloudformation = fresh.client("cloudformation")
    cloudformation.create_stack(StackName="stack", TemplateBody=json.dumps(template))
    until(lambda: cloudformation.describe_stacks()["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE")
    fresh.client("secretsmanager").create_secret(Name="hook", SecretString="https://example.com")
    fresh.client("ecr").create_repository(repositoryName="ml/x")
    fresh.client("cloudwatch").put_metric_alarm(
        AlarmName="alarm", Namespace="N", MetricName="M", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    assert fresh.invoke("f", 5) == (None, 5)
    fresh.client("ssm").put_parameter(Name="/last", Value="v", Type="String")
    fresh.client("cloudwatch").put_metric_data(
        Namespace="N",
        MetricData=[{"MetricName": "M", "Value": 3, "Dimensions": [{"Name": "d", "Value": "1"}]}],
    )
    saved = StatePaths.of(fresh.root).services
    until(lambda: list((saved / "cloudwatch_logs.d").glob("*.json")))
    until(lambda: any('"d=1"' in path.read_text() for path in (saved / "cloudwatch.d").glob("*.json")))

    kill(fresh)
    assert status(fresh.root).state == "stopped"
    fresh.again()

    assert fresh.client("ssm").get_parameter(Name="/last")["Parameter"]["Value"] == "v"
    found = fresh.client("s3").get_object(Bucket="kept", Key="a/b.txt")
    assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (
        b"content",
        "text/plain",
        {"m": "1"},
    )
    assert fresh.client("s3").get_bucket_versioning(Bucket="kept")["Status"] == "Enabled"
    described = fresh.client("stepfunctions").describe_execution(executionArn=run["executionArn"])
    assert (described["status"], json.loads(described["output"])) == ("SUCCEEDED", {"x": 1})
    history = fresh.client("stepfunctions").get_execution_history(executionArn=run["executionArn"])["events"]
    assert [history[0]["type"], history[-1]["type"]] == ["ExecutionStarted", "ExecutionSucceeded"]
    assert fresh.client("cloudformation").describe_stacks()["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    assert len(fresh.client("sns").list_topics()["Topics"]) == 1
    assert (
        fresh.client("secretsmanager").get_secret_value(SecretId="hook")["SecretString"].startswith("https")
    )
    assert fresh.client("ecr").describe_repositories()["repositories"][0]["repositoryName"] == "ml/x"
    assert fresh.client("cloudwatch").describe_alarms()["MetricAlarms"][0]["AlarmName"] == "alarm"
    (metric,) = fresh.client("cloudwatch").list_metrics(Namespace="N")["Metrics"]
    assert (metric["MetricName"], metric["Dimensions"]) == ("M", [{"Name": "d", "Value": "1"}])
    assert fresh.client("iam").get_role_policy(RoleName="machine", PolicyName="own")["PolicyDocument"]
    logged = fresh.client("logs").filter_log_events(logGroupName="/aws/lambda/f")["events"]
    assert any("seen" in event["message"] for event in logged)
    assert fresh.invoke("f", 6) == (None, 6)


def test_an_execution_that_ran_when_the_server_was_killed_has_failed(fresh: Target) -> None:
    role = fresh.role("machine", "states")
    definition = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 99999, "End": True}}}
    states = fresh.client("stepfunctions")
    machine = states.create_state_machine(name="m", definition=json.dumps(definition), roleArn=role)
    run = states.start_execution(stateMachineArn=machine["stateMachineArn"], name="run")["executionArn"]
    kill(fresh)
    fresh.again()
    found = fresh.client("stepfunctions").describe_execution(executionArn=run)
    assert found["status"] == "FAILED"
    assert found["cause"]


def stack_template(value: str, *, waits: bool) -> str:
    """A stack with a resource of MiniStack's and one of ours; one that waits is never done."""
    resources: dict[str, object] = {
        "Parameter": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": "/of-stack", "Type": "String", "Value": value},
        },
        "Group": {
            "Type": "AWS::SageMaker::ModelPackageGroup",
            "Properties": {"ModelPackageGroupName": "of-stack", "Tags": [{"Key": "v", "Value": value}]},
        },
        "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
    }
    if waits:
        resources["Wait"] = {
            "Type": "AWS::CloudFormation::WaitCondition",
            "DependsOn": ["Parameter", "Group"],
            "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "600"},
        }
    return json.dumps({"Resources": resources})


@pytest.mark.parametrize("change", ["create", "update"])
def test_a_stack_that_was_being_changed_when_the_server_was_killed_is_as_before(
    fresh: Target, change: str
) -> None:
    def seen() -> list[str]:
        """Status, the parameter's value, the group's tag."""
        statuses = [s["StackStatus"] for s in fresh.client("cloudformation").describe_stacks()["Stacks"]]
        values = fresh.client("ssm").get_parameters(Names=["/of-stack"])["Parameters"]
        sagemaker = fresh.client("sagemaker")
        groups = sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
        tags = [sagemaker.list_tags(ResourceArn=group["ModelPackageGroupArn"])["Tags"] for group in groups]
        found = [tag["Value"] for each in tags for tag in each if tag["Key"] == "v"]
        return statuses + [value["Value"] for value in values] + found

    def begin(value: str, *, waits: bool) -> None:
        call = getattr(fresh.client("cloudformation"), f"{change}_stack")
        call(StackName="stack", TemplateBody=stack_template(value, waits=waits))

    if change == "update":
        first = stack_template("old", waits=False)
        fresh.client("cloudformation").create_stack(StackName="stack", TemplateBody=first)
        until(lambda: seen() == ["CREATE_COMPLETE", "old", "old"])
    before = seen()
    begin("new", waits=True)
    until(lambda: seen() == [f"{change.upper()}_IN_PROGRESS", "new", "new"])
    # Time for all that would be written.
    fresh.client("ssm").put_parameter(Name="/meanwhile", Value="1", Type="String")

    kill(fresh)
    fresh.again()

    assert seen() == before
    begin("new", waits=False)
    until(lambda: seen() == [f"{change.upper()}_COMPLETE", "new", "new"])
    kill(fresh)
    fresh.again()
    assert seen() == [f"{change.upper()}_COMPLETE", "new", "new"]


def test_what_a_killed_server_left_behind_is_ended(fresh: Target) -> None:
    paths = StatePaths.of(fresh.root)
    recorded = subprocess.Popen(["sleep", "600"], start_new_session=True)
    marked = subprocess.Popen(
        ["sleep", "600"],
        start_new_session=True,
        env={**os.environ, processes.OWNER_VARIABLE: str(paths.folder)},
    )
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        processes.record(paths.processes, recorded.pid, "a job")
        # A record whose pid was given to somebody else since: another start time.
        entry = {"pid": stranger.pid, "started": 1.0, "what": "an ended job"}
        (paths.processes / f"{stranger.pid}.json").write_text(json.dumps(entry))
        kill(fresh)
        assert down(fresh.root)
        # psutil has waited for them, so that Popen cannot tell how they ended.
        assert not psutil.pid_exists(recorded.pid)
        assert not psutil.pid_exists(marked.pid)
        assert psutil.pid_exists(stranger.pid)
        assert list(paths.processes.iterdir()) == []
    finally:
        for each in (recorded, marked, stranger):
            each.kill()
            each.wait()


def test_a_functions_worker_does_not_outlive_the_server(fresh: Target) -> None:
    role = fresh.role("worker", "lambda")
    fresh.function("pid", "import os\ndef handler(e, c): return os.getpid()", role)
    _, pid = fresh.invoke("pid")
    assert psutil.pid_exists(pid)
    kept = StatePaths.of(fresh.root).temporary
    assert list(kept.iterdir())
    kill(fresh)
    fresh.again()
    assert processes.start_time(pid) is None  # ended, though perhaps nobody has waited for it
    assert list(kept.iterdir()) == []
    _, pid = fresh.invoke("pid")
    down(fresh.root)
    assert not psutil.pid_exists(pid)


def test_reset_forgets(fresh: Target) -> None:
    fresh.client("ssm").put_parameter(Name="/x", Value="1", Type="String")
    reset(fresh.root)
    assert status(fresh.root).state == "stopped"
    assert {path.name for path in StatePaths.of(fresh.root).folder.iterdir()} <= {"lock", "port"}
    fresh.again()
    assert fresh.client("ssm").describe_parameters()["Parameters"] == []


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    paths = StatePaths.of(tmp_path)
    paths.make()
    holder = textwrap.dedent(
        """
        import fcntl, sys
        guard = open(sys.argv[1], "a"); fcntl.flock(guard, fcntl.LOCK_EX)
        print("held", flush=True); sys.stdin.read()
        """
    )
    other = subprocess.Popen(
        [sys.executable, "-c", holder, str(paths.server_lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    other.stdout.readline()
    try:
        with pytest.raises(TargetError, match="another server already serves") as raised:
            ensure_up(tmp_path)
        assert raised.value.hint
    finally:
        other.communicate("")


def test_a_pid_file_of_another_process_is_stale(tmp_path: Path) -> None:
    paths = StatePaths.of(tmp_path)
    paths.make()
    record = {"pid": os.getpid(), "started": 1.0, "port": 1, "endpoint_url": "http://127.0.0.1:1"}
    paths.server.write_text(json.dumps(record))
    assert status(tmp_path).state == "stopped"
    assert down(tmp_path) is False
    assert psutil.pid_exists(os.getpid())


def test_a_server_that_is_on_its_way_out_is_not_waited_for_in_vain(tmp_path: Path) -> None:
    paths = StatePaths.of(tmp_path)
    paths.make()
    # As after a kill on a busy machine: there for a moment yet, and silent.
    with subprocess.Popen(["sleep", "0.7"]) as dying:
        started = psutil.Process(dying.pid).create_time()
        record = {"pid": dying.pid, "started": started, "port": 1, "endpoint_url": "http://127.0.0.1:1"}
        paths.server.write_text(json.dumps(record))
        try:
            assert ensure_up(tmp_path).pid != dying.pid
            assert status(tmp_path).state == "running"
        finally:
            down(tmp_path)


def test_what_cannot_be_written_is_refused_and_harms_nothing(fresh: Target) -> None:
    paths = StatePaths.of(fresh.root)
    s3, ssm = fresh.client("s3"), fresh.client("ssm")
    s3.create_bucket(Bucket="full", CreateBucketConfiguration={"LocationConstraint": REGION})
    ssm.put_parameter(Name="/kept", Value="1", Type="String")
    blocked = (paths.s3 / ACCOUNT / "full", paths.services)
    # As a full disk does, and for root too: a file is where a folder should be.
    for folder in blocked:
        folder.rename(folder.with_name("aside"))
        folder.write_text("")
    with pytest.raises(ClientError, match="cannot write its state") as refused:
        s3.put_object(Bucket="full", Key="folder/object", Body=b"1")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    with pytest.raises(ClientError, match="cannot write its state"):
        ssm.put_parameter(Name="/lost", Value="1", Type="String")
    for folder in blocked:
        folder.unlink()
        folder.with_name("aside").rename(folder)
    s3.put_object(Bucket="full", Key="folder/object", Body=b"2")
    kill(fresh)
    fresh.again()
    assert fresh.client("s3").get_object(Bucket="full", Key="folder/object")["Body"].read() == b"2"
    assert fresh.client("ssm").get_parameter(Name="/kept")["Parameter"]["Value"] == "1"
