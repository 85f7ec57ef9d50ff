"""Endpoints whose models serve in containers: requests, a death and its restart, no network."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from tests.e2e.containers.conftest import Containers
from tests.e2e.local_core.conftest import until
from tests.e2e.local_jobs.conftest import BUCKET


def _endpoint(containers: Containers, name: str, **model: Any) -> None:
    client = containers.client("sagemaker")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("answer.txt")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"right"))
    containers.client("s3").put_object(Bucket=BUCKET, Key="models/m.tar.gz", Body=buffer.getvalue())
    container = {"Image": containers.image, "ModelDataUrl": f"s3://{BUCKET}/models/m.tar.gz"}
    client.create_model(ModelName=name, ExecutionRoleArn=containers.role, PrimaryContainer=container, **model)
    variant = {
        "VariantName": "all",
        "ModelName": name,
        "InstanceType": "ml.t2.medium",
        "InitialInstanceCount": 1,
    }
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    client.create_endpoint(EndpointName=name, EndpointConfigName=name)


def _in_service(containers: Containers, name: str) -> bool:
    found = containers.client("sagemaker").describe_endpoint(EndpointName=name)
    assert found["EndpointStatus"] != "Failed", found["FailureReason"]
    return bool(found["EndpointStatus"] == "InService")


def _answers(containers: Containers, name: str) -> bytes:
    runtime = containers.client("sagemaker-runtime")
    return bytes(
        runtime.invoke_endpoint(EndpointName=name, Body=b"hi", ContentType="text/plain")["Body"].read()
    )


@pytest.mark.parametrize("isolated", [False, True])
def test_a_container_serves_and_one_that_dies_is_replaced(containers: Containers, isolated: bool) -> None:
    name = f"served-{isolated}".lower()
    _endpoint(containers, name, EnableNetworkIsolation=isolated)
    until(lambda: _in_service(containers, name), seconds=30)
    before = _answers(containers, name)
    (container,) = containers.running()
    limit = container.attrs["HostConfig"]
    assert limit["Memory"] == 4 << 30
    assert limit["NetworkMode"] == ("none" if isolated else "host")

    container.kill(signal="SIGKILL")

    def replaced() -> bool:
        ids = [each.id for each in containers.running() if each.status == "running"]
        return bool(ids) and container.id not in ids

    until(replaced, seconds=30)

    def answers() -> bool:
        try:
            return _answers(containers, name) == before
        except Exception:  # noqa: BLE001 - it is being replaced
            return False

    until(answers, seconds=30)
    containers.client("sagemaker").delete_endpoint(EndpointName=name)
    until(lambda: containers.running() == [], seconds=30)
