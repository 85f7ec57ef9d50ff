"""What is captured lies in S3 as SageMaker lays it out, written by the model's role; requests never wait."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.hosting.conftest import BUCKET, EVERYTHING, Host, until


def capturing(host: Host, name: str, percent: int = 100, **more: Any) -> str:
    """An endpoint in service whose requests are captured."""
    host.sm.create_endpoint_config(
        EndpointConfigName=f"{name}-config",
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": host.model(name),
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
            }
        ],
        DataCaptureConfig={
            "InitialSamplingPercentage": percent,
            "DestinationS3Uri": f"s3://{BUCKET}/captured/",
            "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
            **more,
        },
    )
    host.sm.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-config")
    assert host.settled(name)["EndpointStatus"] == "InService"
    return name


def captured(host: Host, name: str) -> list[dict[str, Any]]:
    """All lines of the endpoint, in their order; the layout of the keys is looked at on the way."""
    s3 = host.client("s3")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"captured/{name}/").get("Contents", [])
    lines = []
    for each in sorted(found, key=lambda it: str(it["Key"])):
        assert re.fullmatch(
            rf"captured/{name}/AllTraffic/\d{{4}}/\d\d/\d\d/\d\d/\d\d-\d\d-\d\d\d-[0-9a-f-]{{36}}\.jsonl",
            each["Key"],
        )
        body = s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read().decode()
        lines += [json.loads(line) for line in body.splitlines()]
    return lines


def test_requests_are_captured_after_a_moment_and_at_an_update(host: Host) -> None:
    name = capturing(host, "captures")
    for number in range(20):
        host.invoke(name, f"{number},1", ContentType="text/csv", CustomAttributes="from=test")
    with pytest.raises(ClientError):
        host.invoke(name, "status:400")
    lines = until(lambda: (found := captured(host, name)) and len(found) >= 20 and found)
    data = [line["captureData"] for line in lines]
    assert [part["endpointInput"]["data"] for part in data] == [f"{n},1" for n in range(20)]
    assert {part["endpointInput"]["encoding"] for part in data} == {"CSV"}
    assert {part["endpointOutput"]["encoding"] for part in data} == {"BASE64"}
    assert {tuple(line["eventMetadata"]["customAttributes"]) for line in lines} == {("from=test",)}
    assert len({line["eventMetadata"]["eventId"] for line in lines}) == 20

    told = host.sm.describe_endpoint(EndpointName=name)["DataCaptureConfig"]
    assert (told["EnableCapture"], told["CaptureStatus"], told["CurrentSamplingPercentage"]) == (
        True,
        "Started",
        100,
    )
    # What waits when another configuration takes over is not lost, and that one captures nothing.
    host.config("captures-no-more", "captures")
    host.invoke(name, "last,1", ContentType="text/csv")
    host.sm.update_endpoint(EndpointName=name, EndpointConfigName="captures-no-more")
    described = host.settled(name)
    assert "DataCaptureConfig" not in described
    host.invoke(name, "unseen,1", ContentType="text/csv")
    until(lambda: len(captured(host, name)) == 21)
    # The line of a request that is not captured would have come by now, with this endpoint's metrics.
    until(lambda: invocations(host, name) == 1)
    assert captured(host, name)[-1]["captureData"]["endpointInput"]["data"] == "last,1"


def invocations(host: Host, name: str) -> float:
    """How many requests CloudWatch counts for the second configuration."""
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    found = host.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[
            {"Name": "EndpointName", "Value": name},
            {"Name": "VariantName", "Value": "captures"},
            {"Name": "EndpointConfigName", "Value": "captures-no-more"},
        ],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )
    return sum(float(point["Sum"]) for point in found["Datapoints"])


def test_a_role_that_may_not_write_is_told_in_the_log_and_requests_go_on(host: Host) -> None:
    may = {
        "Effect": "Deny",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/captured/*",
    }
    role, host.role = host.role, host.make_role("reads-only", "sagemaker", EVERYTHING, may)
    try:
        name = capturing(host, "silent")
    finally:
        host.role = role
    answers = Counter(host.invoke(name, "1,2", ContentType="text/csv")["Body"] for _ in range(10))
    assert answers == {"silent": 10}

    def told() -> str:
        status = host.sm.describe_endpoint(EndpointName=name)["DataCaptureConfig"]["CaptureStatus"]
        return str(status)

    until(lambda: told() == "Stopped")
    logs = host.client("logs")
    group = f"/aws/sagemaker/Endpoints/{name}"
    until(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])
    events = until(
        lambda: logs.filter_log_events(logGroupName=group, filterPattern='"not captured"')["events"]
    )
    assert "10 requests were not captured" in events[0]["message"]
    assert "AccessDenied" in events[0]["message"]
    assert captured(host, name) == []


def test_what_was_captured_just_before_the_end_is_written(host: Host) -> None:
    from pipeline.local import down

    name = capturing(host, "until-the-end")
    host.invoke(name, "1,2", ContentType="text/csv")
    down(host.root)
    host.again()
    assert len(captured(host, name)) == 1
    assert host.settled(name)["DataCaptureConfig"]["CaptureStatus"] == "Started"


def test_a_serverless_endpoint_captures_nothing(host: Host) -> None:
    with pytest.raises(ClientError) as caught:
        host.sm.create_endpoint_config(
            EndpointConfigName="serverless-capture",
            ProductionVariants=[
                {
                    "VariantName": "v",
                    "ModelName": host.model("serverless-capture"),
                    "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
                }
            ],
            DataCaptureConfig={
                "InitialSamplingPercentage": 1,
                "DestinationS3Uri": f"s3://{BUCKET}/x",
                "CaptureOptions": [{"CaptureMode": "Input"}],
            },
        )
    assert caught.value.response["Error"]["Code"] == "ValidationException"
