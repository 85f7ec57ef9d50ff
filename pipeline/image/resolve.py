"""From a container folder to the image that was built from exactly that content, by digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.aws.errors import DENIED, code, told
from pipeline.errors import ApplyError, SettingsError
from pipeline.image.address import build_arguments, image_tag
from pipeline.image.fingerprint import source_part

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings


# SageMaker runs images whose manifest is of this kind, and no OCI ones.
RUNNABLE = frozenset({"application/vnd.docker.distribution.manifest.v2+json"})


class NotRunnable(ApplyError):
    """The image is there, and SageMaker cannot run it."""


@dataclass(frozen=True)
class ImageSource:
    """Where the image of a pipeline's container belongs: repository name and content tag.

    Args:
        arguments: build arguments that override the Dockerfile's; the tag tells them.
    """

    folder: Path
    repository: str
    tag: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageRef:
    """An image that cannot change: `uri` is `<registry>/<repository>@sha256:<digest>`."""

    repository: str
    tag: str
    digest: str
    uri: str


def source(settings: Settings) -> ImageSource:
    """Repository and tag of the pipeline's container as it is on disk now."""
    folder = Path(settings.root) / "container" / settings.pipeline.container
    if not (folder / "Dockerfile").is_file():
        raise SettingsError(
            f"container {settings.pipeline.container!r} has no Dockerfile",
            where=str(folder),
            hint="mend `container` in the pipeline's settings.toml",
        )
    build = settings.pipeline.build
    arguments = build_arguments(folder, settings.project.base_image, build.arguments if build else None)
    repository = f"{settings.project.name}/{settings.pipeline.container}"
    return ImageSource(folder, repository, image_tag(folder, arguments), arguments)


def registry(clients: Clients) -> str:
    """Host name of the account's registry."""
    return f"{clients.account}.dkr.ecr.{clients.region}.{clients.dns_suffix}"


def lookup(clients: Clients, wanted: ImageSource) -> ImageRef | None:
    """The image of this content, by digest as the registry tells it; None if it is not there.

    Raises:
        NotRunnable: it is there, as a kind of image that SageMaker rejects.
    """
    from botocore.exceptions import ClientError

    with told(clients.target.name):
        try:
            details = clients.ecr.describe_images(
                repositoryName=wanted.repository, imageIds=[{"imageTag": wanted.tag}]
            )["imageDetails"]
        except ClientError as error:
            if code(error) in {"ImageNotFoundException", "RepositoryNotFoundException"}:
                return None
            raise
    if not details:
        return None
    digest = str(details[0]["imageDigest"])
    kind = details[0].get("imageManifestMediaType")
    if kind is not None and kind not in RUNNABLE:
        raise NotRunnable(
            f"{wanted.repository}:{wanted.tag} is {kind}, which SageMaker does not run",
            where=f"{registry(clients)}/{wanted.repository}",
            hint="push a Docker v2 schema 2 manifest: turn the engine's containerd image store off, and give "
            "buildx --provenance=false --output type=docker; delete the image that is there with\n"
            f"    aws ecr batch-delete-image --repository-name {wanted.repository} "
            f"--image-ids imageTag={wanted.tag}",
        )
    return ImageRef(
        wanted.repository, wanted.tag, digest, f"{registry(clients)}/{wanted.repository}@{digest}"
    )


def newest_tag(clients: Clients, repository: str) -> str | None:
    """The tag of the image that was pushed last; None in an empty repository, or where nobody may ask."""
    from botocore.exceptions import ClientError

    newest: tuple[Any, str] | None = None
    with told(clients.target.name):
        try:
            pages = clients.ecr.get_paginator("describe_images").paginate(
                repositoryName=repository, filter={"tagStatus": "TAGGED"}
            )
            for image in (image for page in pages for image in page["imageDetails"]):
                tags = [tag for tag in image.get("imageTags", []) if source_part(tag)]
                if tags and image.get("imageManifestMediaType") in RUNNABLE:
                    newest = max(
                        newest or (image["imagePushedAt"], tags[0]), (image["imagePushedAt"], tags[0])
                    )
        except ClientError as error:
            if code(error) == "RepositoryNotFoundException" or code(error) in DENIED:
                return None
            raise
    return newest[1] if newest else None


def require(clients: Clients, wanted: ImageSource) -> ImageRef:
    """As `lookup`; an image that is not there is an error that says how to make it.

    Raises:
        ApplyError: no image carries the tag.
    """
    found = lookup(clients, wanted)
    if found is None:
        host, name = registry(clients), f"{wanted.repository}:{wanted.tag}"
        raise ApplyError(
            f"no image {name} in the registry: this content of {wanted.folder.name}/ was not pushed yet",
            where=f"{host}/{wanted.repository}",
            hint="no container engine answers here (DOCKER_HOST, docker's context, the usual sockets). "
            "Start one, or set DOCKER_HOST to one elsewhere; it builds and pushes in: pipeline apply",
        )
    return found
