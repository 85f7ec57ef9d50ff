"""Whether what was found may be used: its artifact unchanged in S3, its image still in ECR."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# S3's clock and SageMaker's need not agree to the second.
CLOCKS_DIFFER = timedelta(minutes=2)


class Unusable(Exception):
    """Something found has the fingerprint, but must not be used; the text says why."""


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service, config=Config(retries={"mode": "standard", "max_attempts": 8}))


def log(event: str, **facts: Any) -> None:
    """One JSON line in the function's log."""
    print(json.dumps({"event": event, **facts}, default=str))


def container_of(package: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one container of a version. Raises Unusable."""
    containers = package.get("InferenceSpecification", {}).get("Containers", [])
    if len(containers) != 1 or not containers[0].get("ModelDataUrl"):
        raise Unusable("it has not one container with one artifact")
    found: Mapping[str, Any] = containers[0]
    return found


def digest_of(container: Mapping[str, Any], repository: str) -> str:
    """The digest of a version's image in our repository. Raises Unusable."""
    name, _, digest = container["Image"].partition("@")
    digest = digest or container.get("ImageDigest", "")
    # Without a digest a tag follows the last slash; the registry's host may have a port.
    place, _, last = name.rpartition("/")
    if f"{place}/{last.partition(':')[0]}" != repository:
        raise Unusable(f"its image is {name}, not in {repository}")
    if not digest:
        raise Unusable(f"its image {name} has no digest")
    return str(digest)


def repository_of(image_uri: str) -> str:
    """`<registry>/<name>` of an image's address."""
    name = image_uri.partition("@")[0]
    place, _, last = name.rpartition("/")
    return f"{place}/{last.partition(':')[0]}"


def head(uri: str, what: str) -> dict[str, Any]:
    """An S3 object's facts. Raises Unusable when it is gone."""
    place = urlsplit(uri)
    try:
        found: dict[str, Any] = client("s3").head_object(Bucket=place.netloc, Key=place.path[1:])
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("404", "NoSuchKey", "NotFound", "NoSuchBucket"):
            raise Unusable(f"its {what} {uri} is gone") from None
        if code in ("403", "AccessDenied", "Forbidden"):
            raise Unusable(f"its {what} {uri} is gone, or not this pipeline's to read") from None
        raise
    return found


def check_age(found: Mapping[str, Any], what: str, begun: datetime, ended: datetime) -> None:
    """Raises Unusable for an object that was not written by the job that ran in that time."""
    written = found["LastModified"]
    if not begun - CLOCKS_DIFFER <= written <= ended + CLOCKS_DIFFER:
        raise Unusable(f"its {what} was written at {written.isoformat()}, not by the job")


def check_image(digest: str, repository: str) -> None:
    """Raises Unusable when ECR has no such image any more."""
    host, _, name = repository.partition("/")
    try:
        client("ecr").describe_images(
            registryId=host.partition(".")[0], repositoryName=name, imageIds=[{"imageDigest": digest}]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ImageNotFoundException", "RepositoryNotFoundException"):
            raise Unusable(f"its image {name}@{digest[:19]} is gone from ECR") from None
        raise


def check_whole(package: Mapping[str, Any]) -> None:
    """Raises Unusable unless a version's artifact and image are what they were when it was registered."""
    container = container_of(package)
    repository = repository_of(os.environ["IMAGE_URI"])
    digest = digest_of(container, repository)
    etag = head(container["ModelDataUrl"], "artifact").get("ETag", "").strip('"')
    if container.get("ModelDataETag") not in (None, etag):
        raise Unusable("its artifact is not the one that was registered")
    check_image(digest, repository)
