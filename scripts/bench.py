"""`make bench`: what the tool itself costs, measured on this machine in one run.

Everything runs in a copy of the repository with a local target of its own, so that the user's state is
neither used nor changed. Figures are medians; quote ratios, not seconds: machines differ.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pipeline import caches
from pipeline.local.runner import environment as environment_of

ROOT = Path(__file__).resolve().parent.parent
PIPELINE = [sys.executable, "-m", "pipeline"]
DATA_DATE, DATE = "2026-01-01", "2026-01-02"  # a run takes the day before its own date
rows: list[tuple[str, str]] = []


def report(name: str, value: str) -> None:
    rows.append((name, value))
    print(f"  {name:<58} {value}", flush=True)


def seconds(call: Callable[[], object], times: int = 5) -> float:
    """Median wall-clock seconds of `call`."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def pipeline(root: Path, *arguments: str) -> str:
    """Run a command in `root`; stop the bench if it fails."""
    done = subprocess.run([*PIPELINE, *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
        raise SystemExit(f"bench: 'pipeline {' '.join(arguments)}' ended with {done.returncode}")
    return done.stdout


def copy_of_the_repository(to: Path) -> Path:
    to.mkdir()
    for name in (
        "pipeline.toml",
        "pipeline",
        "container",
        "cloudformation",
        "requirements.lock",
        "pyproject.toml",
    ):
        source = ROOT / name
        ignore = shutil.ignore_patterns("__pycache__", ".pipeline")
        shutil.copytree(source, to / name, ignore=ignore) if source.is_dir() else shutil.copy2(
            source, to / name
        )
    return to


def start_and_render(root: Path) -> None:
    report(
        "python -c pass",
        f"{seconds(lambda: subprocess.run([sys.executable, '-c', 'pass'], check=True)):.3f} s",
    )
    report("pipeline --help", f"{seconds(lambda: pipeline(root, '--help')):.3f} s")
    cache = caches.folder("render").parent

    def cold() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        pipeline(root, "render", "iris")

    report("pipeline render iris, cold (imports the SDK pair)", f"{seconds(cold, 3):.3f} s")
    report("pipeline render iris, warm", f"{seconds(lambda: pipeline(root, 'render', 'iris')):.3f} s")
    shutil.rmtree(cache / "check", ignore_errors=True)
    report("pipeline check, cold", f"{seconds(lambda: pipeline(root, 'check'), 1):.3f} s")
    report("pipeline check, warm", f"{seconds(lambda: pipeline(root, 'check')):.3f} s")


def target(root: Path) -> dict[str, str]:
    report("pipeline local up, cold", f"{seconds(lambda: pipeline(root, 'local', 'up'), 1):.3f} s")
    pipeline(root, "local", "down")
    report("pipeline local up, again", f"{seconds(lambda: pipeline(root, 'local', 'up'), 1):.3f} s")
    return json.loads(pipeline(root, "local", "env", "--json"))


def clients(variables: dict[str, str], service: str):
    import boto3

    return boto3.client(
        service,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


def whole_run(root: Path) -> None:
    report(
        "pipeline apply iris, new stack",
        f"{seconds(lambda: pipeline(root, 'apply', 'iris', '--yes'), 1):.3f} s",
    )
    pipeline(root, "data", "iris", "put", "--date", DATA_DATE)
    report(
        "pipeline apply iris, nothing to do",
        f"{seconds(lambda: pipeline(root, 'apply', 'iris', '--yes'), 3):.3f} s",
    )
    first = seconds(lambda: pipeline(root, "run", "iris", "--date", DATE, "--follow"), 1)
    report("pipeline run iris, first (makes the container's environment)", f"{first:.3f} s")
    run = seconds(lambda: pipeline(root, "run", "iris", "--date", DATE, "--force", "--follow"), 3)
    report("pipeline run iris, new model, endpoint updated", f"{run:.3f} s")
    bare = bare_training(root)
    report("the training program alone, same data, same environment", f"{bare:.3f} s")
    report("whole run / bare training", f"{run / bare:.1f} x")
    report(
        "pipeline plan iris, deployed, all its parts",
        f"{seconds(lambda: pipeline(root, 'plan', 'iris')):.3f} s",
    )
    report(
        "pipeline smoke iris, a target of its own",
        f"{seconds(lambda: pipeline(root, 'smoke', 'iris'), 1):.3f} s",
    )
    report(
        "pipeline run iris, nothing new",
        f"{seconds(lambda: pipeline(root, 'run', 'iris', '--date', DATE, '--follow'), 3):.3f} s",
    )


def bare_training(root: Path) -> float:
    """Seconds of `container/iris/train` as a plain process on the same files."""
    base = Path(tempfile.mkdtemp(prefix="bench-opt-ml-"))
    try:
        config = base / "input" / "config"
        config.mkdir(parents=True)
        settings = json.loads(pipeline(root, "settings", "iris", "--json"))
        parameters = settings["pipeline"]["hyperparameters"]
        (config / "hyperparameters.json").write_text(json.dumps({k: str(v) for k, v in parameters.items()}))
        (config / "inputdataconfig.json").write_text(
            json.dumps({c: {"ContentType": "text/csv"} for c in ("train", "validation")})
        )
        (config / "resourceconfig.json").write_text(
            json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]})
        )
        for channel in ("train", "validation"):
            shutil.copytree(
                root / "pipeline/definitions/iris/sample" / channel, base / "input" / "data" / channel
            )
        (base / "model").mkdir()
        image = root / "container" / "iris"
        python = caches.folder("environments") / environment_of.key(image) / "bin" / "python"
        environment = {"SAGEMAKER_BASE_DIR": str(base), "PATH": "/usr/bin:/bin", "SM_NUM_CPUS": "2"}
        return seconds(
            lambda: subprocess.run(
                [python, root / "container/iris/train"], env=environment, check=True, capture_output=True
            ),
            3,
        )
    finally:
        shutil.rmtree(base)


def transitions(variables: dict[str, str]) -> None:
    """State transitions a second of one machine of 400 Pass states."""
    count = 400
    states = {
        f"S{i}": {"Type": "Pass", **({"Next": f"S{i + 1}"} if i < count - 1 else {"End": True})}
        for i in range(count)
    }
    machines, iam = clients(variables, "stepfunctions"), clients(variables, "iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    role = iam.create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    arn = machines.create_state_machine(
        name="bench", roleArn=role, definition=json.dumps({"StartAt": "S0", "States": states})
    )["stateMachineArn"]

    def once() -> None:
        execution = machines.start_execution(stateMachineArn=arn)["executionArn"]
        while machines.describe_execution(executionArn=execution)["status"] == "RUNNING":
            time.sleep(0.01)

    once()
    report("Step Functions transitions a second (Pass states)", f"{count / seconds(once, 5):.0f}")


def requests(variables: dict[str, str], count: int = 2000) -> None:
    """Requests a second of the endpoint: one CSV row, through the AWS API, 1 and 8 connections."""
    url = urlsplit(variables["AWS_ENDPOINT_URL"])
    import botocore.auth
    import botocore.awsrequest
    import botocore.credentials

    key = botocore.credentials.Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
    signer = botocore.auth.SigV4Auth(key, "sagemaker", variables["AWS_REGION"])
    address = f"{variables['AWS_ENDPOINT_URL']}/endpoints/iris-dev/invocations"
    request = botocore.awsrequest.AWSRequest(
        "POST", address, data=b"5.1,3.5,1.4,0.2\n", headers={"Content-Type": "text/csv"}
    )
    signer.add_auth(request)
    headers = dict(request.headers)

    def client(times: int) -> None:
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
        for _ in range(times):
            connection.request("POST", "/endpoints/iris-dev/invocations", b"5.1,3.5,1.4,0.2\n", headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"bench: the endpoint answered {answer.status}")
        connection.close()

    for connections in (1, 8):
        threads = [threading.Thread(target=client, args=(count // connections,)) for _ in range(connections)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = time.perf_counter() - started
        report(
            f"endpoint, one CSV row a request, {connections} connection(s)", f"{count / taken:.0f} requests/s"
        )


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="pipeline-bench-"))
    # Cold means cold: the user's own cache is neither used nor filled.
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    root = copy_of_the_repository(folder / "repository")
    print("Measuring (about two minutes) ...")
    try:
        start_and_render(root)
        variables = target(root)
        whole_run(root)
        transitions(variables)
        requests(variables)
    finally:
        subprocess.run([*PIPELINE, "local", "down"], cwd=root, capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
