"""An image from one registry to another by digest: the same manifest and the same layers, nothing built.

The manifest is read with BatchGetImage and written with PutImage; layers come by the URLs that ECR signs and
go by the registry's own protocol (distribution's POST, PATCH, PUT), as docker pushes them, streamed and
hashed on the way. No engine is needed. What is there already is not sent again, so a repeat goes on where
the first ended.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from pipeline.aws.errors import code, told
from pipeline.aws.pace import Pace
from pipeline.errors import ApplyError, TargetError
from pipeline.image.login import Login, login
from pipeline.image.resolve import RUNNABLE

if TYPE_CHECKING:
    from pipeline.aws import Clients

Say = Callable[[str], None]
ATTEMPTS = 4
# BatchCheckLayerAvailability takes so many digests.
BATCH = 100
_BLOCK = 256 * 1024


class RepositoryMissing(ApplyError):
    """The account stack has not made the repository."""


@dataclass(frozen=True)
class Part:
    """A layer, or the image's configuration."""

    digest: str
    size: int


def replicate(
    source: Clients,
    target: Clients,
    repository: str,
    digest: str,
    tag: str,
    say: Say,
    siblings: Iterable[str] = (),
) -> bool:
    """Bring `repository@digest` to the target's registry as `repository:tag`; False if it was there.

    Args:
        siblings: other repositories of the target's registry, whose layers may be mounted.

    Raises:
        ApplyError: the tag means another image there, a layer is not what its digest says, or the source's
            image is gone.
        TargetError: a registry cannot be reached, also after repeats.
    """
    there = held(target, repository, tag)
    if there == digest:
        return False
    if there:
        raise ApplyError(
            f"{repository}:{tag} is {there[:19]}... there, and not the tested {digest[:19]}...: it was built "
            "in this account, and its tag cannot be moved",
            where=f"registry of {target.account}",
            hint=f"delete it: aws ecr batch-delete-image --repository-name {repository} --image-ids "
            f"imageTag={tag}",
        )
    manifest, kind = _manifest(source, repository, digest)
    parts = _parts(manifest)
    missing = _missing(target, repository, parts)
    say(f"image {repository}@{digest[:19]}...: {len(missing)} of {len(parts)} layers to copy")
    homes = _homes(target, [name for name in siblings if name != repository], missing)
    for part in missing:
        _bring(source, target, repository, part, homes.get(part.digest, ""))
    _put(target, repository, manifest, kind, digest, tag)
    if held(target, repository, tag) != digest:
        raise ApplyError(f"{repository}:{tag} does not mean {digest} after the copy", where=target.account)
    return True


def held(clients: Clients, repository: str, tag: str) -> str:
    """The digest that a tag means; empty without such a tag or repository."""
    from botocore.exceptions import ClientError

    with told(clients.target.name):
        try:
            found = clients.ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
        except ClientError as error:
            if code(error) in {"ImageNotFoundException", "RepositoryNotFoundException"}:
                return ""
            raise
    return str(found["imageDetails"][0]["imageDigest"]) if found["imageDetails"] else ""


def _manifest(source: Clients, repository: str, digest: str) -> tuple[str, str]:
    """(the manifest's exact text, its media type)."""
    with told(source.target.name):
        found = source.ecr.batch_get_image(
            repositoryName=repository, imageIds=[{"imageDigest": digest}], acceptedMediaTypes=sorted(RUNNABLE)
        )
    if not found["images"]:
        why = found["failures"][0].get("failureReason", "") if found.get("failures") else ""
        raise ApplyError(
            f"the image that staging tested is gone: {why or 'not found'}", where=f"{repository}@{digest}"
        )
    image = found["images"][0]
    text = str(image["imageManifest"])
    if "sha256:" + hashlib.sha256(text.encode()).hexdigest() != digest:
        raise ApplyError(
            "the registry's manifest is not what its digest says", where=f"{repository}@{digest}"
        )
    kind = image.get("imageManifestMediaType") or json.loads(text).get("mediaType", "")
    return text, str(kind)


def _parts(manifest: str) -> list[Part]:
    """Configuration and layers, each once."""
    data = json.loads(manifest)
    parts = [Part(str(p["digest"]), int(p["size"])) for p in [data["config"], *data["layers"]]]
    return list(dict.fromkeys(parts))


def _missing(target: Clients, repository: str, parts: list[Part]) -> list[Part]:
    from botocore.exceptions import ClientError

    available: set[str] = set()
    with told(target.target.name):
        for start in range(0, len(parts), BATCH):
            digests = [part.digest for part in parts[start : start + BATCH]]
            try:
                answer = target.ecr.batch_check_layer_availability(
                    repositoryName=repository, layerDigests=digests
                )
            except ClientError as error:
                if code(error) == "RepositoryNotFoundException":
                    raise RepositoryMissing(
                        f"there is no repository {repository}", where=target.account
                    ) from error
                raise
            available |= {
                layer["layerDigest"]
                for layer in answer["layers"]
                if layer.get("layerAvailability") == "AVAILABLE"
            }
    return [part for part in parts if part.digest not in available]


def _homes(target: Clients, siblings: list[str], parts: list[Part]) -> dict[str, str]:
    """Layer -> another repository of the registry that has it; a base image is most of an image."""
    homes: dict[str, str] = {}
    for name in siblings if parts else []:
        try:
            lacking = {part.digest for part in _missing(target, name, parts)}
        except RepositoryMissing:
            continue
        homes.update({part.digest: name for part in parts if part.digest not in lacking})
    return homes


def _bring(source: Clients, target: Clients, repository: str, part: Part, home: str) -> None:
    """One layer; what breaks on the way is begun again."""
    pace, problem = Pace(first=0.5, longest=8), ""
    for attempt in range(ATTEMPTS):
        if attempt:
            pace.wait()
        try:
            problem = _once(source, target, login(target), repository, part, home)
        except TargetError as error:
            problem = error.what
        if not problem:
            return
    raise TargetError(
        f"layer {part.digest[:19]}... could not be copied: {problem}",
        where=f"{repository}, registry of {target.account}",
        hint="promote again: layers that arrived are not sent again",
    )


def _once(source: Clients, target: Clients, registry: Login, repository: str, part: Part, home: str) -> str:
    """Copy one layer; what went wrong and may go better next time, or empty.

    Raises:
        ApplyError: the content is not what the digest says.
    """
    base = f"{registry.url}/v2/{repository}/blobs/uploads/"
    headers = {"Authorization": registry.header, "Content-Length": "0"}
    # A registry that does not mount begins an upload instead, which is what is wanted then.
    mount = f"?{urlencode({'mount': part.digest, 'from': home})}" if home else ""
    begun = target.http("POST", f"{base}{mount}", headers)
    if begun.status_code == 201:
        return ""
    if begun.status_code != 202:
        return _said(begun)
    with told(source.target.name):
        url = source.ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=part.digest)[
            "downloadUrl"
        ]
    given = source.http("GET", url, {})
    if given.status_code != 200:
        return f"reading it: {_said(given)}"
    if int(given.headers.get("Content-Length", part.size)) != part.size:
        raise _damaged(source, repository, part, f"{given.headers['Content-Length']} bytes")
    body = _Hashed(given.raw)
    place = urljoin(base, begun.headers["Location"])
    sent = target.http(
        "PATCH",
        place,
        {
            "Authorization": registry.header,
            "Content-Type": "application/octet-stream",
            "Content-Length": str(part.size),
        },
        body,
    )
    if sent.status_code not in (201, 202, 204):
        return _said(sent)
    if body.digest != part.digest:
        raise _damaged(source, repository, part, f"{body.digest[:19]}...")
    place = urljoin(place, sent.headers.get("Location") or place)
    done = target.http(
        "PUT", f"{place}{'&' if '?' in place else '?'}{urlencode({'digest': part.digest})}", headers
    )
    return "" if done.status_code == 201 else _said(done)


def _damaged(source: Clients, repository: str, part: Part, found: str) -> ApplyError:
    return ApplyError(
        f"layer {part.digest[:19]}... of {part.size} bytes came as {found}",
        where=f"{repository}, registry of {source.account}",
        hint="that registry is damaged: build and test the image anew",
    )


class _Hashed:
    """A stream that is read once, and its digest so far."""

    def __init__(self, raw: Any) -> None:
        self._raw, self._hash = raw, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        found: bytes = self._raw.read(_BLOCK if size is None or size < 0 else size)
        self._hash.update(found)
        return found

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _put(target: Clients, repository: str, manifest: str, kind: str, digest: str, tag: str) -> None:
    from botocore.exceptions import ClientError

    with told(target.target.name):
        try:
            target.ecr.put_image(
                repositoryName=repository,
                imageManifest=manifest,
                imageManifestMediaType=kind,
                imageTag=tag,
                imageDigest=digest,
            )
        except ClientError as error:
            # Another promotion was faster; whether it is the same image is looked at afterwards.
            if code(error) not in {"ImageAlreadyExistsException", "ImageTagAlreadyExistsException"}:
                raise


def _said(answer: Any) -> str:
    try:
        problem = json.loads(answer.content)["errors"][0]
        return f"{answer.status_code} {problem.get('code', '')}: {problem.get('message', '')}"
    except (ValueError, KeyError, IndexError, TypeError):
        return f"the registry answered {answer.status_code}"
