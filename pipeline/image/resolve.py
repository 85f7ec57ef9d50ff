"""From a container folder to the image that was built from exactly that content, by digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.aws.errors import code, told
from pipeline.errors import ApplyError, SettingsError
from pipeline.image.fingerprint import source_tag

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings


@dataclass(frozen=True)
class ImageSource:
    """Where the image of a pipeline's container belongs: repository name and content tag."""

    folder: Path
    repository: str
    tag: str


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
    return ImageSource(folder, f"{settings.project.name}/{settings.pipeline.container}", source_tag(folder))


def registry(clients: Clients) -> str:
    """Host name of the account's registry."""
    return f"{clients.account}.dkr.ecr.{clients.region}.{clients.dns_suffix}"


def lookup(clients: Clients, wanted: ImageSource) -> ImageRef | None:
    """The image of this content, by digest as the registry tells it; None if it is not there."""
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
    return ImageRef(
        wanted.repository, wanted.tag, digest, f"{registry(clients)}/{wanted.repository}@{digest}"
    )


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
            hint="build and push it, then apply again:\n"
            f"    aws ecr get-login-password --region {clients.region}"
            f" | docker login --username AWS --password-stdin {host}\n"
            f"    docker build --provenance=false --platform linux/amd64 -t {host}/{name} {wanted.folder}\n"
            f"    docker push {host}/{name}",
        )
    return found
