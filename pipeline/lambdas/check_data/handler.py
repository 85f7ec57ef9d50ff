"""Finds the training data of a date, and says whether there is anything new to train on.

Event: {"input": execution input, "defaults": {"GIT_SHA"}, "start_time": ISO time, "execution_arn": ARN}. The
data date is the day before the given date. Environment: see `Config`. Dates are days in TIMEZONE (default
UTC).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError
from dateutil import tz  # type: ignore[import-untyped]  # comes with boto3

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*")


@dataclass(frozen=True)
class Channel:
    """One input: objects are under `<data_prefix><prefix>/<YYYY-MM-DD>/<suffix>`."""

    name: str
    prefix: str


@dataclass(frozen=True)
class Config:
    """The function's environment, typed."""

    bucket: str
    artifact_bucket: str
    stack_name: str
    channels: tuple[Channel, ...]
    data_prefix: str
    suffix: str
    window_days: int
    watermark_parameter: str
    recipes: Mapping[str, Any]
    image_uri: str
    zone: tzinfo

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Config:
        """Raises KeyError for an absent variable and ValueError for one that makes no sense."""
        channels = json.loads(environ["CHANNELS"])
        days = int(environ.get("WINDOW_DAYS") or 1)
        name = environ.get("TIMEZONE") or "UTC"
        zone = UTC if name == "UTC" else tz.gettz(name)
        if days < 1 or not channels or zone is None:
            raise ValueError(f"WINDOW_DAYS {days}, CHANNELS {channels!r} or TIMEZONE {name!r} makes no sense")
        return cls(
            bucket=environ["BUCKET"],
            artifact_bucket=environ["ARTIFACT_BUCKET"],
            stack_name=environ["STACK_NAME"],
            channels=tuple(Channel(name, spec["prefix"]) for name, spec in sorted(channels.items())),
            data_prefix=environ.get("DATA_PREFIX", ""),
            suffix=environ.get("SUFFIX", ""),
            window_days=days,
            watermark_parameter=environ["WATERMARK_PARAMETER"],
            recipes=json.loads(environ["FINGERPRINTS"]),
            image_uri=environ["IMAGE_URI"],
            zone=zone,
        )


@dataclass(frozen=True, order=True)
class Item:
    """One S3 object, identified by what changes when its bytes change."""

    key: str
    etag: str
    size: int


# --- pure ---------------------------------------------------------------------------------------------------


def data_date(given: Any, start_time: str, zone: tzinfo) -> date:
    """The day before `given` (a date, or a timestamp taken to `zone`), or before the start without one.

    Raises ValueError when it is not a date.
    """
    text = start_time if given is None else given
    if not isinstance(text, str):
        raise ValueError(f"DATE must be a string such as 2026-03-01, not {json.dumps(text)}")
    text = text.strip()
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text)
        elif _TIMESTAMP.fullmatch(text):
            moment = datetime.fromisoformat(text)
            # Without an offset it is meant in the pipeline's own zone.
            day = (moment.astimezone(zone) if moment.tzinfo else moment).date()
        else:
            raise ValueError("not ISO 8601")
        return day - timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"DATE {text!r} is not a date such as 2026-03-01, or an ISO time: {error}") from None


def window(last: date, days: int) -> list[date]:
    """The days to train on, oldest first, ending with `last`."""
    return [last - timedelta(days=back) for back in range(days - 1, -1, -1)]


def folder(config: Config, channel: Channel, day: date) -> str:
    """The key prefix of one channel's day. It ends in "/": `multiclass` must not catch `multiclass2`."""
    parts = (f"{config.data_prefix}{channel.prefix}".rstrip("/"), day.isoformat(), config.suffix.strip("/"))
    return "/".join(part for part in parts if part) + "/"


def is_data(key: str) -> bool:
    """False for folder markers and for what Spark and others leave beside data (_SUCCESS, .crc)."""
    name = key.rpartition("/")[2]
    return bool(name) and not name.startswith(("_", "."))


def data_version(items: Iterable[Item]) -> str:
    """SHA-256 over the sorted keys, ETags and sizes: changes when any object does."""
    digest = hashlib.sha256()
    for item in sorted(set(items)):
        digest.update(json.dumps([item.key, item.etag, item.size]).encode() + b"\n")
    return digest.hexdigest()


def fingerprints(
    recipes: Mapping[str, Any], items: Mapping[str, Iterable[Item]], image_uri: str
) -> dict[str, str]:
    """What each step makes, what the model is, and the whole: of data, parameters with code, image.

    The image counts by its digest, or by its tag where the run builds it: the same image has another address
    in another account.

    Args:
        recipes: {"steps": [{"name", "recipe", "channels", "after", "image"}], "gate", "serving"}, each step
            after those it builds on (pipeline/render/recipes.py).
        items: the objects of each channel.

    Returns:
        One for each step, `model`, and `all`, which serving counts in, too.
    """
    digest = identity(image_uri)
    found: dict[str, str] = {}
    for step in recipes["steps"]:
        found[step["name"]] = _hash(
            data_version(item for channel in step["channels"] for item in items[channel]),
            step["recipe"],
            digest if step["image"] else "",
            *(found[earlier] for earlier in step["after"]),
        )
    model = _hash(recipes["gate"], *(found[name] for name in sorted(found)))
    version = data_version(item for channel in items.values() for item in channel)
    return {**found, "model": model, "all": _hash(version, model, recipes["serving"], digest)}


def identity(image_uri: str) -> str:
    """An image's digest; of one that the run builds its tag, which stands for its source."""
    _, _, digest = image_uri.partition("@")
    return digest or image_uri.rpartition(":")[2]


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def said(given: Mapping[str, Any], defaults: Mapping[str, str]) -> dict[str, str]:
    """Where the run comes from: commit, pull request, its page, the reason; "" for what nobody said.

    Raises ValueError for what is no text.
    """
    found = {}
    for name in ("GIT_SHA", "PULL_REQUEST", "RUN_URL", "REASON"):
        value = given.get(name, defaults.get(name, ""))
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a string, not {json.dumps(value)}")
        found[name] = value
    return found


def registrable(text: str) -> str:
    """A text as the model registry takes it: its alphabet, 256 characters, and never empty."""
    return re.sub(r"[^\w .:/=+@-]", "_", text)[:256] or "none"


def run_id(day: date, execution_arn: str, version: str) -> str:
    """`<YYYYMMDD>-<8 hex>`: differs between executions, so that job names never collide."""
    return f"{day:%Y%m%d}-{hashlib.sha256((execution_arn + version).encode()).hexdigest()[:8]}"


def manifest(bucket: str, items: Iterable[Item]) -> list[Any]:
    """SageMaker's ManifestFile: a prefix, then the keys below it."""
    return [{"prefix": f"s3://{bucket}/"}, *sorted(item.key for item in items)]


def absent(days: Mapping[str, Mapping[date, list[Item]]], last: date) -> str:
    """Why the data is not complete, or "".

    Every channel needs bytes in the window, and one at least needs an object on the last day.
    """
    empty = [
        name for name, by_day in sorted(days.items()) if not sum(i.size for d in by_day.values() for i in d)
    ]
    if empty:
        first = min(day for by_day in days.values() for day in by_day)
        span = f"{last}" if first == last else f"{first} to {last}"
        return f"no data of {span} in {', '.join(empty)}"
    if not any(by_day[last] for by_day in days.values()):
        return f"no data of {last} itself; the days before it have been seen"
    return ""


def news(mark: Mapping[str, Any], version: str, print_: str) -> tuple[bool, str]:
    """Whether this differs from what the last success trained on, and in what."""
    if not mark.get("fingerprint"):
        return True, "nothing has been trained on yet"
    if mark["fingerprint"] == print_:
        return False, f"already trained on (data of {mark.get('date')}, fingerprint {print_[:12]})"
    if mark.get("data_version") == version:
        return True, "the data is the same; settings, code or image changed"
    return True, f"the data differs from that of {mark.get('date')}"


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service)


def log(event: str, **facts: Any) -> None:
    """One JSON line in the function's log."""
    print(json.dumps({"event": event, **facts}, default=str))


def list_items(bucket: str, prefix: str) -> list[Item]:
    """All data objects under a prefix, however many pages they take."""
    pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [
        Item(entry["Key"], entry["ETag"], entry["Size"])
        for page in pages
        for entry in page.get("Contents", [])
        if is_data(entry["Key"])
    ]


def read_watermark(parameter: str) -> dict[str, Any]:
    """What the last success trained on; {} when there was none."""
    try:
        text = client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        log("watermark_absent", parameter=parameter)
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        # Training once more is the safe way out; the next success writes a good one.
        log("watermark_unreadable", parameter=parameter)
        return {}
    return value


def channel_input(
    config: Config, channel: Channel, by_day: Mapping[date, list[Item]], run: str
) -> dict[str, Any]:
    """Where SageMaker finds the channel: one day's prefix, or a manifest of several days' objects."""
    items = [item for day in by_day.values() for item in day]
    counts = {"objects": len(items), "bytes": sum(item.size for item in items)}
    if len(by_day) == 1:
        (day,) = by_day
        return {"uri": f"s3://{config.bucket}/{folder(config, channel, day)}", "type": "S3Prefix", **counts}
    key = f"{config.stack_name}/runs/{run}/manifests/{channel.name}.json"
    client("s3").put_object(
        Bucket=config.artifact_bucket,
        Key=key,
        Body=json.dumps(manifest(config.bucket, items)).encode(),
        ContentType="application/json",
    )
    return {"uri": f"s3://{config.artifact_bucket}/{key}", "type": "ManifestFile", **counts}


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """What to train on, at $.run, and who wants it, at $.input.given.

    Raises ValueError for an input without sense, ClientError from AWS.
    """
    given = event.get("input") or {}
    if not isinstance(given, dict):
        raise ValueError(f"the execution's input must be an object, not {json.dumps(given)}")
    force = given.get("FORCE", False)
    if not isinstance(force, bool):
        raise ValueError(f"FORCE must be true or false, not {json.dumps(force)}")
    config = Config.from_environment(os.environ)
    last = data_date(given.get("DATE"), event["start_time"], config.zone)
    days = {
        channel.name: {
            day: list_items(config.bucket, folder(config, channel, day))
            for day in window(last, config.window_days)
        }
        for channel in config.channels
    }
    where_from = said(given, event.get("defaults") or {})
    items = {name: [item for day in by_day.values() for item in day] for name, by_day in days.items()}
    version = data_version(item for channel in items.values() for item in channel)
    prints = fingerprints(config.recipes, items, config.image_uri)
    print_ = prints["all"]
    run = run_id(last, event["execution_arn"], version)

    reason = absent(days, last)
    new = False
    if not reason:
        new, reason = news(read_watermark(config.watermark_parameter), version, print_)
        if force and not new:
            new, reason = True, f"forced, without newer data: {reason}"
    if not new and where_from["REASON"]:
        reason = f"no newer data for what asked for this run ({where_from['REASON']}): {reason}"
    result = {
        "new": new,
        "reason": reason,
        "date": last.isoformat(),
        "run_id": run,
        "data_version": version,
        "fingerprint": print_,
        "fingerprints": {name: value for name, value in prints.items() if name != "all"},
        # A run after one that was interrupted goes on from its checkpoint; a forced one begins anew.
        "checkpoints": run if force else prints.get("train", run),
        "provenance": {name.lower(): registrable(value) for name, value in where_from.items()},
        "execution_name": event["execution_arn"].rpartition(":")[2],
        # Manifests are written only for a run that will read them.
        "channels": {c.name: channel_input(config, c, days[c.name], run) for c in config.channels}
        if new
        else {},
        "output_prefix": f"s3://{config.artifact_bucket}/{config.stack_name}/runs/{run}",
        "watermark": json.dumps({"date": last.isoformat(), "data_version": version, "fingerprint": print_}),
    }
    log("checked", **{name: result[name] for name in ("new", "reason", "date", "run_id", "channels")})
    return {"run": result, "input": {"given": where_from}}
