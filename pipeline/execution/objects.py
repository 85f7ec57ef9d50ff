"""Objects of a bucket by prefix, all versions of them: counted and deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pipeline.aws.errors import code
from pipeline.errors import ApplyError

if TYPE_CHECKING:
    from pipeline.aws import Clients

# DeleteObjects takes so many at once.
BATCH = 1000


def delete(clients: Clients, bucket: str, prefix: str, wanted: Callable[[str], bool] = lambda _: True) -> int:
    """Delete every version of the objects under `prefix` whose key is `wanted`; how many keys that were.

    Raises:
        ApplyError: S3 refused some of them.
    """
    keys: set[str] = set()
    batch: list[dict[str, str]] = []
    for key, version in _versions(clients, bucket, prefix):
        if not wanted(key):
            continue
        keys.add(key)
        batch.append({"Key": key, "VersionId": version})
        if len(batch) == BATCH:
            _delete(clients, bucket, batch)
            batch = []
    if batch:
        _delete(clients, bucket, batch)
    return len(keys)


def count(clients: Clients, bucket: str, prefix: str) -> int:
    """How many objects there are; none in a bucket that is not there."""
    pages = clients.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    try:
        return sum(page.get("KeyCount", 0) for page in pages)
    except ClientError as error:
        if code(error) == "NoSuchBucket":
            return 0
        raise


def _versions(clients: Clients, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
    pages = clients.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    try:
        for page in pages:
            for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                yield item["Key"], item["VersionId"]
    except ClientError as error:
        if code(error) != "NoSuchBucket":
            raise


def _delete(clients: Clients, bucket: str, batch: list[dict[str, str]]) -> None:
    answer = clients.s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
    if answer.get("Errors"):
        first = answer["Errors"][0]
        raise ApplyError(
            f"{len(answer['Errors'])} objects cannot be deleted: {first.get('Message', first.get('Code'))}",
            where=f"s3://{bucket}/{first.get('Key', '')}",
        )
