"""One S3 object from a bucket to another, perhaps another account's, with its SHA-256 proven at both ends.

No one call can do it: CopyObject acts for one principal, and here the one may read there and the other may
write here. So the bytes pass through, a part at a time, and S3 checks the SHA-256 of each as it arrives.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.aws.errors import code, told
from pipeline.errors import ApplyError

if TYPE_CHECKING:
    from pipeline.aws import Clients

Say = Callable[[str], None]
# What is not larger goes in one request; PutObject takes 5 GiB, but a part has to fit into memory.
PART = 64 * 1024**2
MOST_PARTS = 10_000
_BLOCK = 1024**2


@dataclass(frozen=True)
class Place:
    """An object's bucket and key."""

    bucket: str
    key: str

    @classmethod
    def of(cls, uri: str) -> Place:
        """From `s3://bucket/key`."""
        parts = urlsplit(uri)
        return cls(parts.netloc, parts.path.lstrip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Changed(ApplyError):
    """The object is not what it was when it was tested, or is gone."""


@dataclass(frozen=True)
class Copied:
    """What `copy` found or made: `sha256` in hex, `new` if it was not there."""

    place: Place
    sha256: str
    bytes: int
    new: bool


def copy(
    source: Clients,
    there: Place,
    target: Clients,
    here: Place,
    say: Say,
    *,
    tested: str = "",
    sha256: str = "",
) -> Copied:
    """Make `here` the same bytes as `there`; nothing is written where it is already.

    Args:
        tested: the ETag that S3 gave the content when it was tested; empty: not known.
        sha256: what it is known to be, from an earlier promotion; empty: not known.

    Raises:
        Changed: `there` is gone, or its content is another.
        ApplyError: what arrived is not what was sent.
    """
    head = _head(source, there)
    if head is None:
        raise Changed("the object is gone", where=str(there))
    found = str(head["ETag"]).strip('"')
    if tested and found != tested:
        raise Changed(
            f"its content was replaced after it was tested (ETag {found}, tested was {tested})",
            where=str(there),
            hint="put the tested version back (the bucket keeps versions), or train and test anew",
        )
    size = int(head["ContentLength"])
    present = _head(target, here)
    if present is not None and int(present["ContentLength"]) == size:
        held = _digest(target, here, present)
        if held == (sha256 or _digest(source, there, head)):
            return Copied(here, held, size, new=False)
    say(f"copying {there} to {here} ({size} bytes)")
    body = source.s3.get_object(Bucket=there.bucket, Key=there.key, IfMatch=head["ETag"])["Body"]
    sent = _write(target, here, body, size, head.get("ContentType", "binary/octet-stream"))
    if sha256 and sent != sha256:
        raise Changed(f"it is sha256 {sent[:16]}..., promoted was {sha256[:16]}...", where=str(there))
    arrived = _head(target, here)
    if arrived is None or _digest(target, here, arrived) != sent:
        raise ApplyError("what arrived is not what was sent", where=str(here), hint="promote again")
    return Copied(here, sent, size, new=True)


def digest(clients: Clients, place: Place) -> str:
    """SHA-256 of an object's bytes, in hex: as S3 keeps it, else by reading it; empty if it is not there."""
    head = _head(clients, place)
    return _digest(clients, place, head) if head is not None else ""


def etag(clients: Clients, place: Place) -> str:
    """What S3 calls the object's content; empty if it is not there."""
    head = _head(clients, place)
    return str(head["ETag"]).strip('"') if head is not None else ""


def _head(clients: Clients, place: Place) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    with told(clients.target.name):
        try:
            found: dict[str, Any] = clients.s3.head_object(
                Bucket=place.bucket, Key=place.key, ChecksumMode="ENABLED"
            )
        except ClientError as error:
            # HEAD has no body, so the codes arrive as the bare status.
            if code(error) in {"404", "NoSuchKey", "NotFound", "NoSuchBucket"}:
                return None
            raise
    return found


def _digest(clients: Clients, place: Place, head: dict[str, Any]) -> str:
    known = str(head.get("ChecksumSHA256", ""))
    # Of an object in parts S3 keeps a hash of the parts' hashes, marked by their number.
    if known and "-" not in known and head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
        return base64.b64decode(known).hex()
    total = hashlib.sha256()
    with told(clients.target.name):
        body = clients.s3.get_object(Bucket=place.bucket, Key=place.key, IfMatch=head["ETag"])["Body"]
        for block in iter(lambda: body.read(_BLOCK), b""):
            total.update(block)
    return total.hexdigest()


def _write(target: Clients, here: Place, body: Any, size: int, content_type: str) -> str:
    """Send `size` bytes; their SHA-256 in hex."""
    with told(target.target.name):
        if size <= PART:
            content = body.read()
            one = hashlib.sha256(content)
            target.s3.put_object(
                Bucket=here.bucket,
                Key=here.key,
                Body=content,
                ContentType=content_type,
                ChecksumSHA256=_base64(one),
            )
            return one.hexdigest()
        return _in_parts(target, here, body, size, content_type)


def _in_parts(target: Clients, here: Place, body: Any, size: int, content_type: str) -> str:
    named = {"Bucket": here.bucket, "Key": here.key}
    upload = target.s3.create_multipart_upload(**named, ContentType=content_type, ChecksumAlgorithm="SHA256")[
        "UploadId"
    ]
    total, done = hashlib.sha256(), list[dict[str, Any]]()
    try:
        for number, content in enumerate(_parts(body, max(PART, -(-size // MOST_PARTS))), start=1):
            total.update(content)
            checksum = _base64(hashlib.sha256(content))
            answer = target.s3.upload_part(
                **named, UploadId=upload, PartNumber=number, Body=content, ChecksumSHA256=checksum
            )
            done.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum})
        target.s3.complete_multipart_upload(**named, UploadId=upload, MultipartUpload={"Parts": done})
    except BaseException:
        target.s3.abort_multipart_upload(**named, UploadId=upload)
        raise
    return total.hexdigest()


def _parts(body: Any, size: int) -> Iterator[bytes]:
    while content := body.read(size):
        yield content


def _base64(digest: Any) -> str:
    return base64.b64encode(digest.digest()).decode()
