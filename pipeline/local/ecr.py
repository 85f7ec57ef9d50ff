"""What the local ECR knows: images that were pushed, and container folders known by their content.

Without an engine nobody can build an image. Asked for the tag of a container folder as it is now
(`src-<16 hex>`), the registry then takes a snapshot of the folder and answers with the snapshot's digest,
as if somebody had built and pushed that very source; not so a folder with a buildspec, which CodeBuild
builds and pushes here too. Jobs and endpoints run out of the snapshot, so a later edit does not reach what is
already deployed. An image that was pushed has a snapshot too, where its source was at hand: so either runner
can run it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from pipeline.image.context import BUILDSPEC
from pipeline.local import builtin, context, snapshots

logger = logging.getLogger("pipeline.local.ecr")

_URI = re.compile(
    r"^(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[a-z0-9._/-]+?)(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[\w][\w.-]{0,127}))?$"
)


# Between a snapshot's making and its being in the registry nobody may take it for a leftover.
_registry = threading.Lock()


class ImageNotFound(Exception):
    """No such image in the local registry; the message says which and how one gets there."""


def image_folder(image_uri: str) -> Path:
    """The snapshot of an image: the container folder's content, as it was when the image was made known.

    Args:
        image_uri: `<account>.dkr.ecr.<region>.amazonaws.com/<repository>@sha256:<digest>`, or `:<tag>`.

    Raises:
        ImageNotFound: not an ECR URI, or no such repository, image or snapshot; AWS's own, and not carried.
    """
    from ministack.services import ecr

    if builtin.is_aws(image_uri):
        try:
            return builtin.folder_of(image_uri)
        except builtin.NotCarried as error:
            raise ImageNotFound(str(error)) from None
    found = _URI.match(image_uri)
    if not found:
        raise ImageNotFound(f"{image_uri} is not the URI of an image in Amazon ECR, with a tag or a digest")
    account, region, repository = found["account"], found["region"], found["repository"]
    images = ecr._images.get_scoped(account, region, repository)
    if images is None:
        raise ImageNotFound(f"the repository {repository} does not exist in {account}, {region}")
    tag = found["tag"] or ("latest" if not found["digest"] else None)
    for image in images:
        if image["imageDigest"] == found["digest"] or (tag and tag in image.get("imageTags", [])):
            folder = snapshots.place(image["imageDigest"])
            if folder.is_dir():
                return folder
    raise ImageNotFound(
        f"{image_uri} is not in the local registry; it holds what was pushed, and without a Docker engine "
        "snapshots of the folders under container/, which `pipeline apply` makes known"
    )


def make_known(repository: str, tag: str) -> bool:
    """Put the container folder's image into the repository, if `tag` is the folder's tag right now.

    Works in the account and region of the current request. Returns whether the tag is there afterwards.
    """
    with _registry:
        return _make_known(repository, tag)


def _make_known(repository: str, tag: str) -> bool:
    from ministack.services import ecr

    images = ecr._images.get(repository)
    if images is None:
        return False
    if any(tag in image.get("imageTags", []) and _usable(image) for image in images):
        return True
    folder = snapshots.container_folder(repository, tag)
    if folder and (folder / BUILDSPEC).is_file():
        # Its own build makes it known, when that has ended well.
        return False
    manifest = snapshots.take(folder, tag) if folder else None
    if manifest is None:
        return False
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    record(images, ecr._registry_id(), repository, digest, tag, manifest, snapshots.MANIFEST_TYPE)
    logger.info("%s:%s is known as %s", repository, tag, digest)
    return True


def step_aside(repository: str, tag: str) -> None:
    """Take `tag` from a snapshot: an engine is here, so the tag is for the image that it will build.

    What runs from the snapshot goes on, by its digest.
    """
    from ministack.services import ecr

    with _registry:
        for image in ecr._images.get(repository) or []:
            if not image.get("pushed") and tag in image.get("imageTags", []):
                _untag(image, tag)


def record(
    images: list[dict[str, Any]],
    registry_id: str,
    repository: str,
    digest: str,
    tag: str | None,
    manifest: bytes,
    media_type: str,
    pushed: bool = False,
) -> None:
    """Put an image among a repository's, in MiniStack's form; the tag moves to it."""
    for other in images:
        if tag in other.get("imageTags", []):
            _untag(other, str(tag))
    image = next((each for each in images if each["imageDigest"] == digest), None)
    if image is None:
        image = {
            "registryId": registry_id,
            "repositoryName": repository,
            "imageId": {"imageDigest": digest},
            "imageManifest": manifest.decode(),
            "imageManifestMediaType": media_type,
            "imageTags": [],
            "imagePushedAt": int(time.time()),
            "imageDigest": digest,
        }
        images.append(image)
    if pushed:
        image["pushed"] = True
    if tag and tag not in image["imageTags"]:
        image["imageTags"].append(tag)
        image["imageId"] = {"imageDigest": digest, "imageTag": tag}


def pushed(folder: Path) -> tuple[str, str, str, str] | None:
    """(account, region, repository, digest) of the image that was pushed, by its folder; else None."""
    from ministack.services import ecr

    digest = f"sha256:{folder.name}"
    for (account, region, repository), images in list(ecr._images._data.items()):
        if any(image["imageDigest"] == digest and image.get("pushed") for image in images):
            return account, region, repository, digest
    return None


def remove_unreferenced() -> None:
    """Delete the snapshots that no image refers to any more."""
    from ministack.services import ecr

    # The server answers already: a request may be making a snapshot that has no image yet.
    with _registry:
        used = {
            snapshots.place(image["imageDigest"]).name
            for images in ecr._images._data.values()
            for image in images
        }
        for folder in context.paths().images.iterdir():
            if folder.name not in used:
                shutil.rmtree(folder, ignore_errors=True)


def missing_image(repository: str, image_ids: list[dict[str, str]]) -> str | None:
    """ECR's message for the first of the asked images that the repository lacks; None: all are there."""
    from ministack.services import ecr

    for wanted in image_ids:
        if ecr._find_image(repository, wanted) is None:
            digest, tag = wanted.get("imageDigest", "null"), wanted.get("imageTag", "null")
            return (
                f"The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within "
                f"the repository with name '{repository}' in the registry with id '{ecr._registry_id()}'"
            )
    return None


def _untag(image: dict[str, Any], tag: str) -> None:
    image["imageTags"].remove(tag)
    image["imageId"] = {"imageDigest": image["imageDigest"]}
    if image["imageTags"]:
        image["imageId"]["imageTag"] = image["imageTags"][-1]


def _usable(image: dict[str, Any]) -> bool:
    return bool(image.get("pushed")) or snapshots.place(image["imageDigest"]).is_dir()


def known_manifest(repository: str, manifest: bytes) -> dict[str, Any] | None:
    """The repository's image with exactly this manifest."""
    return _by_digest(repository, "sha256:" + hashlib.sha256(manifest).hexdigest())


def came_by_api(repository: str, manifest: bytes) -> None:
    """PutImage has recorded a manifest whose layers are in the registry: it is as good as pushed.

    But the copy of a snapshot stays one: its layer is a folder's source, which no engine could run.
    """
    image = known_manifest(repository, manifest)
    if image is not None and not snapshots.made_of_folder(image["imageDigest"]):
        snapshots.keep_as(None, "", image["imageDigest"])
        image["pushed"] = True


def image_size(repository: str, digest: str) -> int:
    """Bytes of an image as it lies in the registry; 0 when its manifest does not say."""
    image = _by_digest(repository, digest)
    return sum(_parts(image).values()) if image else 0


def layer_size(repository: str, digest: str) -> int | None:
    """Bytes of a layer (or configuration) of one of the repository's images; None when none has it."""
    from ministack.services import ecr

    for image in ecr._images.get(repository) or []:
        parts = _parts(image)
        if digest in parts:
            return parts[digest]
    return None


def _by_digest(repository: str, digest: str) -> dict[str, Any] | None:
    from ministack.services import ecr

    return next((i for i in ecr._images.get(repository) or [] if i["imageDigest"] == digest), None)


def _parts(image: dict[str, Any]) -> dict[str, int]:
    try:
        manifest = json.loads(image["imageManifest"])
        parts = [manifest["config"], *manifest["layers"]]
        return {str(part["digest"]): int(part["size"]) for part in parts}
    except (ValueError, KeyError, TypeError):
        return {}
