"""Objects by address: list, read, write. S3 through boto3, which Glue has; folders for trials by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from common.errors import InputError

# Requests that only look at one object each go out together.
AT_ONCE = 16
# DeleteObjects takes so many keys a call.
KEYS_A_CALL = 1000
_GONE = {"NoSuchKey", "404", "NoSuchBucket"}


@dataclass(frozen=True)
class Object:
    """One object: its address, size in bytes and ETag (without quotes)."""

    uri: str
    bytes: int
    etag: str

    @property
    def key(self) -> str:
        """Its key within the bucket."""
        return urlsplit(self.uri).path.lstrip("/")

    @property
    def is_data(self) -> bool:
        """Whether Spark reads it: neither a folder's marker nor a name that begins with `_` or `.`."""
        name = self.uri.rpartition("/")[2]
        return bool(name) and name[0] not in "_."


def under(prefix: str) -> list[Object]:
    """All objects of data under a prefix that ends in "/", in the order of their keys."""
    found = _s3_under(prefix) if prefix.startswith("s3://") else _folder(prefix)
    return sorted((item for item in found if item.is_data), key=lambda item: item.uri)


def look(uris: Iterable[str]) -> list[Object]:
    """Objects by their addresses, in that order.

    Raises:
        InputError: one of them does not exist; names it.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(_look, uris))


def read(uri: str, start: int = 0, length: int | None = None) -> bytes:
    """An object's bytes from `start` on, `length` of them at most.

    Raises:
        InputError: it does not exist, or may not be read; names it.
    """
    if not uri.startswith("s3://"):
        with _path(uri).open("rb") as file:
            file.seek(start)
            return file.read(-1 if length is None else length)
    bucket, key = _place(uri)
    wanted = {} if length is None and not start else {"Range": _range(start, length)}
    with _errors(uri):
        body: bytes = _s3().get_object(Bucket=bucket, Key=key, **wanted)["Body"].read()
    return body


def chunks(uri: str, size: int = 1 << 20) -> Iterator[bytes]:
    """An object's bytes in pieces, so that it need not fit into memory."""
    if not uri.startswith("s3://"):
        with _path(uri).open("rb") as file:
            while piece := file.read(size):
                yield piece
        return
    bucket, key = _place(uri)
    with _errors(uri):
        yield from _s3().get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(size)


def write_json(uri: str, value: Any) -> None:
    """Write a small JSON object at once: whole, or not there."""
    write_text(uri, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", "application/json")


def write_text(uri: str, text: str, content_type: str) -> None:
    """Write a small object of text at once: whole, or not there."""
    if uri.startswith("s3://"):
        bucket, key = _place(uri)
        _s3().put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType=content_type)
        return
    path = _path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def delete_under(prefix: str) -> int:
    """Delete everything under a prefix, markers too; how many objects that were."""
    if not prefix.startswith("s3://"):
        found = list(_folder(prefix))
        for item in found:
            _path(item.uri).unlink()
        return len(found)
    keys = [{"Key": item.key} for item in _s3_under(prefix)]
    bucket, _ = _place(prefix)
    for first in range(0, len(keys), KEYS_A_CALL):
        answer = _s3().delete_objects(
            Bucket=bucket, Delete={"Objects": keys[first : first + KEYS_A_CALL], "Quiet": True}
        )
        for error in answer.get("Errors", []):
            raise OSError(f"s3://{bucket}/{error['Key']} cannot be deleted: {error.get('Code')}")
    return len(keys)


def base(uri: str) -> str:
    """`s3://bucket/`, which keys are relative to."""
    return f"s3://{urlsplit(uri).netloc}/" if uri.startswith("s3://") else "/"


# --- S3


@cache
def _s3() -> Any:
    import boto3

    return boto3.client("s3")


def _place(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri, allow_fragments=False)
    return parts.netloc, parts.path.lstrip("/")


def _range(start: int, length: int | None) -> str:
    return f"bytes={start}-" + ("" if length is None else str(start + length - 1))


def _s3_under(prefix: str) -> Iterator[Object]:
    bucket, key = _place(prefix)
    with _errors(prefix):
        for page in _s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
            for item in page.get("Contents", []):
                yield Object(f"s3://{bucket}/{item['Key']}", item["Size"], item["ETag"].strip('"'))


def _look(uri: str) -> Object:
    if not uri.startswith("s3://"):
        if not _path(uri).is_file():
            raise InputError(f"{uri} does not exist")
        return _file(_path(uri))
    bucket, key = _place(uri)
    with _errors(uri):
        head = _s3().head_object(Bucket=bucket, Key=key)
    return Object(uri, head["ContentLength"], head["ETag"].strip('"'))


class _errors:
    """Turns S3's refusal into one that names the object."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: Any, _trace: Any) -> None:
        answer = getattr(error, "response", None)
        if not isinstance(answer, dict):
            return
        code = str(answer.get("Error", {}).get("Code", ""))
        if code in _GONE:
            raise InputError(f"{self.uri} does not exist ({code})") from error
        raise InputError(f"{self.uri} cannot be read: {code or error}") from error


# --- folders


def _path(uri: str) -> Path:
    return Path(urlsplit(uri).path if uri.startswith("file:") else uri)


def _file(path: Path) -> Object:
    data = path.read_bytes()
    return Object(str(path), len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())


def _folder(prefix: str) -> Iterator[Object]:
    root = _path(prefix)
    return (_file(path) for path in sorted(root.rglob("*")) if path.is_file()) if root.is_dir() else iter(())
