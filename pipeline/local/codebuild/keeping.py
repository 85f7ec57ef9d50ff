"""What a build leaves: its artifacts in S3, and what the next build of the project gets from the cache."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from pipeline.local.codebuild.spec import Spec


class KeepingFailed(Exception):
    """Artifacts cannot be kept; the text is the phase's context."""


def matching(folder: Path, patterns: tuple[str, ...], without: tuple[str, ...] = ()) -> list[Path]:
    """Files below `folder` that the patterns name, relative to it, sorted; `**/*` is all, a folder its files.

    Raises:
        KeepingFailed: a pattern matches nothing.
    """
    found: set[Path] = set()
    for pattern in patterns:
        hits = list(folder.glob(pattern))
        if not hits:
            raise KeepingFailed(f"CLIENT_ERROR: no matching artifact paths found for {pattern}")
        for place in hits:
            inside = place.rglob("*") if place.is_dir() else [place]
            found |= {path.relative_to(folder) for path in inside if path.is_file()}
    hidden = {hit.relative_to(folder) for pattern in without for hit in folder.glob(pattern)}
    return sorted(found - hidden)


def artifacts(
    s3: Any, wanted: dict[str, Any], spec: Spec, folder: Path, build: dict[str, Any]
) -> dict[str, Any]:
    """Upload what the buildspec keeps; the build's `artifacts`.

    Raises:
        KeepingFailed: nothing matches, or the role may not write there.
    """
    if wanted["type"] == "NO_ARTIFACTS" or not spec.artifacts:
        return {"location": ""}
    base = (folder / spec.base_directory).resolve()
    files = matching(base, spec.artifacts, spec.excluded)
    names = {(path.name if spec.discard_paths else path.as_posix()): base / path for path in files}
    name = (
        spec.artifacts_name
        if wanted.get("overrideArtifactName") and spec.artifacts_name
        else wanted.get("name")
    )
    name = name or build["projectName"]
    parts = [wanted.get("path", "").strip("/")]
    if wanted.get("namespaceType") == "BUILD_ID":
        parts.append(build["id"].partition(":")[2])
    prefix = "/".join([part for part in parts if part] + [str(name).strip("/")])
    bucket = wanted["location"].removeprefix("arn:aws:s3:::")
    told: dict[str, Any] = {
        "location": f"arn:aws:s3:::{bucket}/{prefix}",
        "overrideArtifactName": bool(wanted.get("overrideArtifactName")),
    }
    try:
        if wanted.get("packaging", "NONE") == "ZIP":
            content = _zipped(names)
            s3.put_object(Bucket=bucket, Key=prefix, Body=content)
            told["sha256sum"] = hashlib.sha256(content).hexdigest()
            told["md5sum"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        else:
            for relative, path in names.items():
                s3.upload_file(str(path), bucket, f"{prefix}/{relative}")
    except (ClientError, S3UploadFailedError) as error:
        raise KeepingFailed(f"CLIENT_ERROR: {error}") from None
    return told


def restore(s3: Any, cache: dict[str, Any], folder: Path) -> str:
    """Unpack what an earlier build left; what to say of it in the log. A cache never fails a build."""
    place = _place(cache)
    if place is None:
        return ""
    try:
        content = s3.get_object(Bucket=place[0], Key=place[1])["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as packed:
            packed.extractall(folder, filter="data")
    except (ClientError, tarfile.TarError) as error:
        return f"No cache: {error}"
    return f"Restored cache from s3://{place[0]}/{place[1]}"


def store(s3: Any, cache: dict[str, Any], spec: Spec, folder: Path) -> str:
    """Keep what the buildspec names for the next build; what to say of it in the log."""
    place = _place(cache)
    if place is None or not spec.cached:
        return ""
    buffer = io.BytesIO()
    try:
        files = matching(folder, spec.cached)
        with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
            for relative in files:
                packed.add(folder / relative, arcname=relative.as_posix())
        s3.put_object(Bucket=place[0], Key=place[1], Body=buffer.getvalue())
    except (ClientError, KeepingFailed) as error:
        return f"The cache was not kept: {error}"
    return f"Kept cache in s3://{place[0]}/{place[1]}: {len(files)} files"


def _place(cache: dict[str, Any]) -> tuple[str, str] | None:
    """Bucket and key of an S3 cache. A LOCAL one is a matter of AWS's build hosts; builds go on without."""
    if cache.get("type") != "S3" or not cache.get("location"):
        return None
    bucket, _, prefix = cache["location"].removeprefix("arn:aws:s3:::").partition("/")
    return bucket, "/".join(
        part for part in (prefix.strip("/"), cache.get("cacheNamespace", ""), "cache.tar.gz") if part
    )


def _zipped(names: dict[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for relative, path in names.items():
            packed.write(path, relative)
    return buffer.getvalue()
