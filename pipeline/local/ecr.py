"""Images without an engine: a container folder of the repository, known to ECR by its content.

Asked for the tag of a container folder as it is now (`src-<16 hex>`), the registry takes a snapshot of the
folder and answers with the snapshot's digest, as if somebody had built and pushed that very source. Jobs
and endpoints run out of the snapshot, so a later edit does not reach what is already deployed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import re
import shutil
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from pipeline.image.context import context_files
from pipeline.image.fingerprint import source_tag
from pipeline.local import context

logger = logging.getLogger("pipeline.local.ecr")

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar"
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
        ImageNotFound: not an ECR URI, or no such repository, image or snapshot.
    """
    from ministack.services import ecr

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
            folder = _snapshot_folder(image["imageDigest"])
            if folder.is_dir():
                return folder
    raise ImageNotFound(
        f"{image_uri} is not in the local registry; it holds snapshots of the folders under container/, "
        "which `pipeline apply` makes known"
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
    if any(tag in image.get("imageTags", []) and _has_snapshot(image) for image in images):
        return True
    folder = context.root() / "container" / repository.rpartition("/")[2]
    if not folder.is_dir() or source_tag(folder) != tag:
        return False
    manifest = _snapshot(folder, tag)
    if manifest is None:
        return False
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    image = next((each for each in images if each["imageDigest"] == digest), None)
    if image is None:
        image = {
            "registryId": ecr._registry_id(),
            "repositoryName": repository,
            "imageId": {"imageDigest": digest, "imageTag": tag},
            "imageManifest": manifest.decode(),
            "imageManifestMediaType": MANIFEST_TYPE,
            "imageTags": [],
            "imagePushedAt": int(time.time()),
            "imageDigest": digest,
        }
        images.append(image)
    if tag not in image["imageTags"]:
        image["imageTags"].append(tag)
    logger.info("%s:%s is known as %s", repository, tag, digest)
    return True


def remove_unreferenced() -> None:
    """Delete the snapshots that no image refers to any more."""
    from ministack.services import ecr

    used = {
        _snapshot_folder(image["imageDigest"]).name
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


def _snapshot_folder(digest: str) -> Path:
    return context.paths().images / digest.removeprefix("sha256:")


def _has_snapshot(image: dict[str, Any]) -> bool:
    return _snapshot_folder(image["imageDigest"]).is_dir()


def _snapshot(folder: Path, tag: str) -> bytes | None:
    """Copy the image's source under its digest; the image's manifest, or None if it changed meanwhile."""
    images = context.paths().images
    copy = Path(tempfile.mkdtemp(prefix="making-", dir=images))
    try:
        for relative, path in context_files(folder).items():
            target = copy / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
        if source_tag(copy) != tag:
            return None
        copy.chmod(0o755)
        manifest = _manifest(copy)
        final = _snapshot_folder(hashlib.sha256(manifest).hexdigest())
        # Somebody else may have made the very same one: either is right.
        with contextlib.suppress(OSError):
            copy.rename(final)
        return manifest
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _manifest(folder: Path) -> bytes:
    """A Docker v2 schema 2 manifest with one layer: the source, as a tar without times and owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for relative, path in context_files(folder).items():
            entry = tarfile.TarInfo(f"opt/program/{relative}")
            entry.mode = 0o755 if path.stat(follow_symlinks=False).st_mode & 0o100 else 0o644
            if path.is_symlink():
                entry.type, entry.linkname = tarfile.SYMTYPE, path.readlink().as_posix()
                archive.addfile(entry)
            else:
                content = path.read_bytes()
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    layer = buffer.getvalue()
    layer_digest = "sha256:" + hashlib.sha256(layer).hexdigest()
    config = _canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"WorkingDir": "/opt/program"},
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        }
    )
    config_digest = "sha256:" + hashlib.sha256(config).hexdigest()
    return _canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": _CONFIG_TYPE, "size": len(config), "digest": config_digest},
            "layers": [{"mediaType": _LAYER_TYPE, "size": len(layer), "digest": layer_digest}],
        }
    )


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
