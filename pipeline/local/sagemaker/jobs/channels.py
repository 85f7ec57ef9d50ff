"""A training job's channels in the container: files, read-only files, or pipes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.local.sagemaker.jobs import failure, objects, transfer
from pipeline.local.sagemaker.jobs.objects import BadDataSource, S3Object, Text

Part = S3Object | Text


def mode(channel: dict[str, Any], default: str) -> str:
    """`File`, `FastFile` or `Pipe`: the channel's own, else the job's."""
    return str(channel.get("InputMode") or default)


def resolve(s3: Any, source: dict[str, Any], region: str, role: str) -> list[Part]:
    """All parts of an S3DataSource (or ProcessingS3Input), in order; raises JobFailed when there is none.

    What one of several hosts gets of them, `share` says.
    """
    uri = source["S3Uri"]
    try:
        match source.get("S3DataType", "S3Prefix"):
            case "ManifestFile":
                found: list[Part] = list(objects.in_manifest(transfer.read_text(s3, uri)))
            case "AugmentedManifestFile":
                text = transfer.read_text(s3, uri)
                lines = objects.in_augmented_manifest(text, source.get("AttributeNames") or [])
                found = [part for line in lines for part in line]
            case _:
                found = list(objects.under_prefix(uri, transfer.list_keys(s3, uri)))
    except BadDataSource as error:
        raise failure.download_failed(f"{uri}: {error}") from None
    if not found:
        raise failure.download_failed(f"Failed to download data. {failure.no_objects(uri, region, role)}")
    return share(source, found, 0, 1)


def share(source: dict[str, Any], parts: list[Part], index: int, count: int) -> list[Part]:
    """What host `index` of `count` gets of a source: all parts, or with ShardedByS3Key every count-th key."""
    if source.get("S3DataDistributionType") != "ShardedByS3Key":
        return parts
    return list(objects.shard([part for part in parts if isinstance(part, S3Object)], index, count))


def only_whole_folders(source: dict[str, Any], parts: Sequence[Part]) -> None:
    """FastFile shows a prefix as a folder, so it must be one (or one object)."""
    _, prefix = objects.split(source["S3Uri"])
    folder = prefix if prefix.endswith("/") or not prefix else prefix + "/"
    keys = [part.key for part in parts if isinstance(part, S3Object)]
    if keys != [prefix] and not all(key.startswith(folder) for key in keys):
        raise failure.download_failed(
            "Failed to download data. For FastFile mode, partial S3 prefix is not supported. S3 prefix "
            "has to "
            "end with a full file or folder. Add a trailing '/' to the S3 prefix if it ends with a "
            "folder name "
            "that is also a prefix for other folders."
        )


def fetch(s3: Any, parts: Sequence[Part], folder: Path, stopped: Callable[[], bool]) -> None:
    """The parts as files below `folder`."""
    transfer.download(s3, (part for part in parts if isinstance(part, S3Object)), folder, stopped)


def shuffled(channel: dict[str, Any], parts: list[Part], epoch: int) -> list[Part]:
    """The parts in the order of one epoch: as they are, or by ShuffleConfig's seed."""
    config = channel.get("ShuffleConfig")
    if not config:
        return parts
    names = channel["DataSource"]["S3DataSource"].get("AttributeNames") or ()
    width = max(1, len(names))  # the attributes of one line of an augmented manifest stay together
    records = [parts[start : start + width] for start in range(0, len(parts), width)]
    random.Random(int(config["Seed"]) + epoch).shuffle(records)
    return [part for record in records for part in record]
