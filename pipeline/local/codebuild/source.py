"""A build's source and buildspec: fetched from S3, or given with the project."""

from __future__ import annotations

import re
import stat
import zipfile
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

DEFAULT = "buildspec.yml"
_S3_ARN = re.compile(r"arn:aws[a-z-]*:s3:::([^/]+)/(.+)")


class SourceFailed(Exception):
    """The source cannot be had; the text is the context of DOWNLOAD_SOURCE: a code, a colon, words."""


def fetch(s3: Any, source: dict[str, Any], version: str, folder: Path) -> str:
    """Put the source below `folder`; the version it was, or "".

    An S3 source is a zip archive, or a prefix that ends in `/`; `version` is an S3 version of the archive.

    Raises:
        SourceFailed: there is none, or it is of a kind that is not to be had here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if source["type"] == "NO_SOURCE":
        return ""
    if source["type"] != "S3":
        raise SourceFailed(
            f"CLIENT_ERROR: the local target fetches sources from S3 alone, not from {source['type']}"
        )
    bucket, _, key = source["location"].removeprefix("arn:aws:s3:::").partition("/")
    try:
        if key.endswith("/") or not key:
            _folder(s3, bucket, key, folder)
            return ""
        archive = folder.parent / "source.zip"
        wanted = {"VersionId": version} if version else {}
        answer = s3.get_object(Bucket=bucket, Key=key, **wanted)
        with archive.open("wb") as stream:
            for chunk in answer["Body"].iter_chunks(1 << 20):
                stream.write(chunk)
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                if stat.S_ISLNK(member.external_attr >> 16):
                    _link(packed.read(member).decode(), folder / member.filename, folder)
                    continue
                place = Path(packed.extract(member, folder))
                # The archive keeps who may run a file; Python's unpacking forgets it.
                if member.external_attr >> 16 & 0o111 and place.is_file():
                    place.chmod(0o755)
        archive.unlink()
        return str(answer.get("VersionId") or answer["ETag"].strip('"'))
    except ClientError as error:
        said = error.response["Error"]
        raise SourceFailed(
            f"CLIENT_ERROR: {said['Code']}: {said['Message']} for primary source s3://{bucket}/{key}"
        ) from None
    except zipfile.BadZipFile as error:
        raise SourceFailed(f"CLIENT_ERROR: zip: {error} for primary source s3://{bucket}/{key}") from None


def buildspec(s3: Any, source: dict[str, Any], folder: Path) -> str:
    """The buildspec's text: inline, of an S3 object, or a file of the source.

    Raises:
        SourceFailed: there is none.
    """
    given = source.get("buildspec") or ""
    if "\n" in given or given.lstrip().startswith(("version:", "{")):
        return str(given)
    if arn := _S3_ARN.fullmatch(given):
        try:
            body: bytes = s3.get_object(Bucket=arn[1], Key=arn[2])["Body"].read()
            return body.decode()
        except ClientError as error:
            raise SourceFailed(f"YAML_FILE_ERROR: {error.response['Error']['Message']}: {given}") from None
    place = (folder / (given or DEFAULT)).resolve()
    if not place.is_relative_to(folder.resolve()) or not place.is_file():
        raise SourceFailed(f"YAML_FILE_ERROR: YAML file does not exist: {given or DEFAULT}")
    return place.read_text(encoding="utf-8")


def _link(target: str, place: Path, folder: Path) -> None:
    """A symbolic link of an archive; not one that leads out of it."""
    if not (place.parent / target).resolve().is_relative_to(folder.resolve()):
        raise zipfile.BadZipFile(f"{place.name} leads out of the archive: {target}")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


def _folder(s3: Any, bucket: str, prefix: str, folder: Path) -> None:
    found = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            place = (folder / item["Key"][len(prefix) :]).resolve()
            if item["Key"].endswith("/") or not place.is_relative_to(folder.resolve()):
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, item["Key"], str(place))
            found += 1
    if not found:
        raise SourceFailed(f"CLIENT_ERROR: no objects under s3://{bucket}/{prefix} for primary source")
