"""check_data: dates, windows, versions, watermark, pages of S3, and what is not new."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from dateutil import tz

from pipeline.lambdas.check_data import handler as check

ARN = "arn:aws:states:us-east-1:111122223333:execution:iris-dev:2026-03-02-abc"
CHANNELS = {"train": {"prefix": "in-train", "use": "train"}, "test": {"prefix": "in-test", "use": "evaluate"}}
RECIPES = {
    "steps": [
        {"name": "train", "recipe": "t1", "channels": ["train"], "after": [], "image": True},
        {"name": "evaluate", "recipe": "e1", "channels": ["test"], "after": ["train"], "image": True},
    ],
    "gate": "g1",
    "serving": "s1",
}
ENVIRONMENT = {
    "BUCKET": "data-bucket",
    "ARTIFACT_BUCKET": "artifacts",
    "STACK_NAME": "iris-dev",
    "PIPELINE": "iris",
    "ENVIRONMENT": "dev",
    "CHANNELS": json.dumps(CHANNELS),
    "DATA_PREFIX": "",
    "SUFFIX": "multiclass/",
    "WINDOW_DAYS": "1",
    "WATERMARK_PARAMETER": "/ml/iris-dev/watermark",
    "FINGERPRINTS": json.dumps(RECIPES),
    "IMAGE_URI": "1.dkr.ecr/ml/iris@sha256:1",
}


class FakeS3:
    """Buckets in memory, behind the two calls the function makes."""

    def __init__(self, objects: dict[str, tuple[str, int]]) -> None:
        self.objects = objects
        self.written: dict[tuple[str, str], bytes] = {}

    def get_paginator(self, operation: str) -> FakeS3:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:
        assert Bucket == "data-bucket"
        found = [
            {"Key": key, "ETag": etag, "Size": size}
            for key, (etag, size) in sorted(self.objects.items())
            if key.startswith(Prefix)
        ]
        return [{"Contents": found}] if found else [{}]

    def put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str) -> None:
        assert ContentType == "application/json"
        self.written[Bucket, Key] = Body


class FakeSsm:
    def __init__(self, value: str) -> None:
        self.value = value

    def get_parameter(self, Name: str) -> dict[str, Any]:
        assert Name == "/ml/iris-dev/watermark"
        return {"Parameter": {"Value": self.value}}


class World:
    """One pipeline's data and watermark, and the function run on them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s3 = FakeS3({})
        self.ssm = FakeSsm("{}")
        self.monkeypatch = monkeypatch
        monkeypatch.setattr(check, "client", lambda service: {"s3": self.s3, "ssm": self.ssm}[service])
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("TIMEZONE", raising=False)

    def put(self, channel: str, day: str, etag: str = '"e1"', size: int = 10, name: str = "iris.csv") -> None:
        self.s3.objects[f"in-{channel}/{day}/multiclass/{name}"] = (etag, size)

    def check(self, given: Any = None, arn: str = ARN) -> dict[str, Any]:
        return self.answer(given, arn)["run"]

    def answer(self, given: Any = None, arn: str = ARN) -> dict[str, Any]:
        event = {"input": given, "defaults": {"GIT_SHA": "abc"}, "execution_arn": arn}
        result = check.handler({**event, "start_time": "2026-03-02T03:00:00.123Z"}, None)
        json.dumps(result, allow_nan=False)
        return result

    def prints(self, **environment: Any) -> dict[str, str]:
        """All fingerprints, with other variables of the function."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value if isinstance(value, str) else json.dumps(value))
            run = self.check()
        return {**run["fingerprints"], "all": run["fingerprint"]}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    made.put("train", "2026-03-01")
    made.put("test", "2026-03-01")
    return made


@pytest.mark.parametrize(
    ("given", "zone", "day"),
    [
        ("2026-03-02", "UTC", "2026-03-01"),
        (" 2026-03-01 ", "UTC", "2026-02-28"),
        ("2024-03-01", "UTC", "2024-02-29"),
        ("2026-01-01", "UTC", "2025-12-31"),
        ("2026-03-02T03:00:00Z", "UTC", "2026-03-01"),
        ("2026-03-02T03:00:00.123+00:00", "UTC", "2026-03-01"),
        # 18:00 UTC is the next day's 03:00 in Tokyo, where the schedule ran.
        ("2026-03-01T18:00:00Z", "Asia/Tokyo", "2026-03-01"),
        ("2026-03-01T18:00:00Z", "UTC", "2026-02-28"),
        # The offset of the text counts, not its first ten characters.
        ("2026-03-02T00:30:00+09:00", "UTC", "2026-02-28"),
        # New York's clocks go forward on 2026-03-08: 04:30 UTC is 23:30 of the 7th, a day later 00:30.
        ("2026-03-08T04:30:00Z", "America/New_York", "2026-03-06"),
        ("2026-03-09T04:30:00Z", "America/New_York", "2026-03-08"),
        # Without an offset it is the pipeline's own clock.
        ("2026-03-02T23:59:00", "Asia/Tokyo", "2026-03-01"),
        (None, "UTC", "2026-03-01"),
    ],
)
def test_the_data_date_is_the_day_before(given: str | None, zone: str, day: str) -> None:
    where = UTC if zone == "UTC" else tz.gettz(zone)
    assert check.data_date(given, "2026-03-02T03:00:00.123Z", where) == date.fromisoformat(day)


@pytest.mark.parametrize(
    "given",
    ["2026-02-30", "02/03/2026", "20260302", "2026-W10", "yesterday", "", "0001-01-01", 20260302, True],
)
def test_a_malformed_date_names_itself(given: Any) -> None:
    with pytest.raises(ValueError, match="DATE") as caught:
        check.data_date(given, "2026-03-02T03:00:00Z", UTC)
    assert json.dumps(given).strip('"') in str(caught.value)


@pytest.mark.parametrize(
    "given", [{"DATE": "nonsense"}, ["2026-03-02"], {"FORCE": "yes"}, {"FORCE": 1}, "2026-03-02"]
)
def test_an_input_without_sense_is_refused(world: World, given: Any) -> None:
    with pytest.raises(ValueError):
        world.check(given)


def test_new_data_is_described_for_every_channel(world: World) -> None:
    run = world.check({"DATE": "2026-03-02"})
    assert run["new"] is True
    assert run["date"] == "2026-03-01"
    assert run["channels"]["train"] == {
        "uri": "s3://data-bucket/in-train/2026-03-01/multiclass/",
        "type": "S3Prefix",
        "objects": 1,
        "bytes": 10,
    }
    assert run["run_id"].startswith("20260301-")
    assert run["output_prefix"] == f"s3://artifacts/iris-dev/runs/{run['run_id']}"
    assert run["execution_name"] == "2026-03-02-abc"
    assert world.s3.written == {}


def test_what_was_trained_on_is_not_new_and_the_reason_says_so(world: World) -> None:
    world.ssm.value = world.check()["watermark"]
    again = world.check(arn=ARN + "-2")
    assert again["new"] is False
    assert "already trained on" in again["reason"]
    assert "2026-03-01" in again["reason"]


def test_force_trains_again(world: World) -> None:
    world.ssm.value = world.check()["watermark"]
    forced = world.check({"FORCE": True})
    assert forced["new"] is True
    assert forced["reason"].startswith("forced, without newer data: already trained on (data of 2026-03-01")


def test_who_asked_for_a_run_is_told_that_there_is_nothing_newer(world: World) -> None:
    world.ssm.value = world.check()["watermark"]
    asked = world.check({"REASON": "drift: x psi 0.4 over 0.25"})
    assert asked["new"] is False
    assert asked["reason"].startswith(
        "no newer data for what asked for this run (drift: x psi 0.4 over 0.25): already trained on"
    )


def test_a_changed_object_a_new_recipe_and_a_new_image_are_new(world: World) -> None:
    world.ssm.value = world.check()["watermark"]
    world.put("test", "2026-03-01", etag='"e2"')
    changed = world.check()
    assert changed["new"] is True
    assert "differs" in changed["reason"]
    world.put("test", "2026-03-01")
    for name, value in (("FINGERPRINTS", {**RECIPES, "serving": "s2"}), ("IMAGE_URI", "r/ml/iris@sha256:2")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(name, value if isinstance(value, str) else json.dumps(value))
            other = world.check()
            assert other["new"] is True
            assert "settings, code or image changed" in other["reason"]
    assert world.check()["new"] is False


def changed(one: dict[str, str], other: dict[str, str]) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name in one if one[name] != other[name]}


def test_a_fingerprint_is_of_what_its_step_is_made_of(world: World) -> None:
    before = world.prints()

    def step(number: int, **changes: Any) -> dict[str, Any]:
        steps = [{**s, **changes} if n == number else s for n, s in enumerate(RECIPES["steps"])]
        return {**RECIPES, "steps": steps}

    everything = {"train", "evaluate", "model", "all"}
    assert changed(before, world.prints(FINGERPRINTS=step(0, recipe="t2"))) == everything
    assert changed(before, world.prints(FINGERPRINTS=step(1, recipe="e2"))) == everything - {"train"}
    assert changed(before, world.prints(FINGERPRINTS={**RECIPES, "gate": "g2"})) == {"model", "all"}
    # Where it is served is not what it is: the same model is deployed again.
    assert changed(before, world.prints(FINGERPRINTS={**RECIPES, "serving": "s2"})) == {"all"}
    assert changed(before, world.prints(IMAGE_URI="1.dkr.ecr/ml/iris@sha256:2")) == everything
    # Another account has the same image by another address.
    assert changed(before, world.prints(IMAGE_URI="2.dkr.ecr/ml/iris@sha256:1")) == set()
    world.put("test", "2026-03-01", etag='"e2"')
    assert changed(before, world.prints()) == everything - {"train"}
    world.put("test", "2026-03-01")
    world.put("train", "2026-03-01", etag='"e2"')
    assert changed(before, world.prints()) == everything


def test_who_wants_it_is_kept_and_made_fit_for_the_registry(world: World) -> None:
    answer = world.answer({"PULL_REQUEST": "17", "RUN_URL": "https://ci/run?id=1&x=" + "y" * 300})
    assert answer["input"]["given"]["GIT_SHA"] == "abc"
    assert answer["input"]["given"]["PULL_REQUEST"] == "17"
    assert answer["input"]["given"]["RUN_URL"].startswith("https://ci/run?id=1&x=")
    provenance = answer["run"]["provenance"]
    assert (provenance["git_sha"], provenance["pull_request"]) == ("abc", "17")
    assert provenance["run_url"].startswith("https://ci/run_id=1_x=y") and len(provenance["run_url"]) == 256
    assert world.check()["provenance"]["pull_request"] == "none", "the registry takes no empty text"
    with pytest.raises(ValueError, match="PULL_REQUEST must be a string, not 17"):
        world.answer({"PULL_REQUEST": 17})


@pytest.mark.parametrize("value", ["", "not json", "[]", "null", '{"date": "2026-03-01"}'])
def test_a_watermark_that_cannot_be_read_means_training(world: World, value: str) -> None:
    world.ssm.value = value
    assert world.check()["new"] is True


def test_a_missing_channel_is_not_new_and_is_named(world: World) -> None:
    del world.s3.objects["in-test/2026-03-01/multiclass/iris.csv"]
    run = world.check()
    assert run["new"] is False
    assert run["reason"] == "no data of 2026-03-01 in test"


@pytest.mark.parametrize("name", ["", "_SUCCESS", ".iris.csv.crc"])
def test_markers_are_no_data(world: World, name: str) -> None:
    del world.s3.objects["in-test/2026-03-01/multiclass/iris.csv"]
    world.put("test", "2026-03-01", name=name, size=5)
    assert world.check()["reason"] == "no data of 2026-03-01 in test"


def test_empty_objects_are_no_data(world: World) -> None:
    world.put("test", "2026-03-01", size=0)
    assert world.check()["new"] is False


def test_another_folder_that_begins_alike_is_not_read(world: World) -> None:
    before = world.check()["data_version"]
    world.s3.objects["in-train/2026-03-01/multiclass2/other.csv"] = ('"x"', 1)
    assert world.check()["data_version"] == before


def test_checkpoints_are_those_of_the_same_training_unless_it_is_forced(world: World) -> None:
    one, other = world.check(), world.check(arn=ARN + "-2")
    assert one["checkpoints"] == other["checkpoints"] == one["fingerprints"]["train"]
    forced = world.check({"FORCE": True})
    assert forced["checkpoints"] == forced["run_id"]


def test_run_ids_differ_between_executions_and_fingerprints_do_not(world: World) -> None:
    one, two = world.check(arn=ARN), world.check(arn=ARN + "-2")
    assert one["run_id"] != two["run_id"]
    assert one["fingerprint"] == two["fingerprint"]


def test_a_window_of_days_is_a_manifest_of_their_objects(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDOW_DAYS", "7")
    monkeypatch.setenv("DATA_PREFIX", "")
    world.put("train", "2026-02-23")
    world.put("train", "2026-02-22")  # the eighth day back
    run = world.check()
    channel = run["channels"]["train"]
    key = f"iris-dev/runs/{run['run_id']}/manifests/train.json"
    assert (channel["uri"], channel["type"], channel["objects"]) == (
        f"s3://artifacts/{key}",
        "ManifestFile",
        2,
    )
    assert json.loads(world.s3.written["artifacts", key]) == [
        {"prefix": "s3://data-bucket/"},
        "in-train/2026-02-23/multiclass/iris.csv",
        "in-train/2026-03-01/multiclass/iris.csv",
    ]


def test_a_window_needs_something_on_its_last_day(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDOW_DAYS", "3")
    run = world.check({"DATE": "2026-03-03"})
    assert run["new"] is False
    assert "2026-03-02 itself" in run["reason"]
    assert world.s3.written == {}


def test_the_version_does_not_depend_on_the_order_of_listing() -> None:
    items = [check.Item("b", '"1"', 1), check.Item("a", '"2"', 2)]
    assert check.data_version(items) == check.data_version(reversed(items))
    # Nor can two fields run into one another.
    assert check.data_version([check.Item("a1", "2", 3)]) != check.data_version([check.Item("a", "12", 3)])


def test_all_pages_of_a_listing_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    monkeypatch.setattr(check, "client", lambda _service: s3)

    def page(first: int, count: int) -> list[dict[str, Any]]:
        now = datetime.now(UTC)
        return [
            {"Key": f"p/{n:05}.csv", "ETag": '"e"', "Size": 1, "LastModified": now}
            for n in range(first, first + count)
        ]

    with Stubber(s3) as stub:
        stub.add_response(
            "list_objects_v2",
            {"IsTruncated": True, "NextContinuationToken": "next", "Contents": page(0, 1000)},
            {"Bucket": "b", "Prefix": "p/"},
        )
        stub.add_response(
            "list_objects_v2",
            {"IsTruncated": False, "Contents": page(1000, 501)},
            {"Bucket": "b", "Prefix": "p/", "ContinuationToken": "next"},
        )
        items = check.list_items("b", "p/")
        stub.assert_no_pending_responses()
    assert len({item.key for item in items}) == 1501


@pytest.mark.parametrize(("code", "raises"), [("ParameterNotFound", False), ("AccessDeniedException", True)])
def test_only_an_absent_watermark_is_forgiven(
    monkeypatch: pytest.MonkeyPatch, code: str, raises: bool
) -> None:
    ssm = boto3.client("ssm", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    monkeypatch.setattr(check, "client", lambda _service: ssm)
    with Stubber(ssm) as stub:
        stub.add_client_error("get_parameter", code)
        if raises:
            with pytest.raises(check.ClientError, match=code):
                check.read_watermark("/w")
        else:
            assert check.read_watermark("/w") == {}
