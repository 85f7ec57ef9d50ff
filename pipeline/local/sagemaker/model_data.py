"""What a model is made of, fetched as its execution role: the image's digest and the unpacked artefact.

Every refusal here is worded as AWS words it in CreateModel's errors and in endpoints' FailureReason.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.local import builtin, ecr, roles
from pipeline.local.api.errors import AccessDeniedException
from pipeline.local.sagemaker.store import Scope

SERVICE = "sagemaker"


class Unavailable(Exception):
    """Image or artefact cannot be had; the message is AWS's."""


@dataclass(frozen=True)
class Location:
    """An S3 object. `s3://bucket/key`."""

    bucket: str
    key: str

    @classmethod
    def of(cls, url: str) -> Location:
        """Parse an s3:// URL, or S3's https:// one as CreateModel also takes."""
        parts = urlsplit(url)
        path = parts.path.lstrip("/")
        if parts.scheme == "s3":
            return cls(parts.netloc, path)
        if parts.netloc.startswith(("s3.", "s3-")):  # path style
            bucket, _, key = path.partition("/")
            return cls(bucket, key)
        return cls(parts.netloc.partition(".s3")[0], path)


def client(service: str, scope: Scope, role_arn: str, session: str) -> Any:
    """A boto3 client of the role, assumed by SageMaker. Raises roles.RoleNotAssumable."""
    return roles.client(service, scope.region, roles.credentials_for(role_arn, session, SERVICE))


def resolve_image(scope: Scope, role_arn: str, image: str) -> str:
    """The image as `repository@sha256:...`, seen with the role's permissions.

    Raises:
        Unavailable: no such image, or the role may not read it.
    """
    try:
        if builtin.is_aws(image):
            return _algorithm(scope, role_arn, image)
        registry = client("ecr", scope, role_arn, "SageMaker")
    except roles.RoleNotAssumable:
        raise Unavailable(_role_advice(role_arn)) from None
    return _resolve(registry, image)


def image_digest(scope: Scope, image: str) -> str:
    """The digest of an image, seen with the account's own permissions. Raises Unavailable."""
    if builtin.is_aws(image):
        try:
            return builtin.resolved(image).partition("@")[2]
        except builtin.NotCarried as error:
            raise Unavailable(str(error)) from None
    own = {"AccessKeyId": scope.account, "SecretAccessKey": scope.account}
    return _resolve(roles.client("ecr", scope.region, own), image).partition("@")[2]


def _algorithm(scope: Scope, role_arn: str, image: str) -> str:
    from pipeline.local.sagemaker.jobs.session import require_algorithm

    try:
        return require_algorithm(roles.credentials_for(role_arn, "SageMaker", SERVICE), scope, image)
    except builtin.NotCarried as error:
        raise Unavailable(str(error)) from None
    except AccessDeniedException as error:
        raise Unavailable(f"{_no_image(image)} {error}") from None


def _resolve(service: Any, image: str) -> str:
    registry, _, rest = image.partition("/")
    repository, _, digest = rest.partition("@")
    repository, _, tag = repository.partition(":")
    if ".dkr.ecr." not in registry or not repository:
        raise Unavailable(f'ECR image "{image}" is invalid.')
    wanted = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
    try:
        found = service.batch_get_image(
            registryId=registry.partition(".")[0], repositoryName=repository, imageIds=[wanted]
        )
    except ClientError as error:
        if error.response["Error"]["Code"].startswith("AccessDenied"):
            raise Unavailable(f"{_no_image(image)} {error.response['Error']['Message']}") from None
        raise Unavailable(_no_image(image)) from None
    if not found.get("images"):
        raise Unavailable(_no_image(image))
    return f"{registry}/{repository}@{found['images'][0]['imageId']['imageDigest']}"


def image_folder(resolved: str) -> Path:
    """The snapshot of a resolved image. Raises Unavailable."""
    try:
        return ecr.image_folder(resolved)
    except ecr.ImageNotFound as error:
        raise Unavailable(str(error)) from None


def require_object(scope: Scope, role_arn: str, url: str) -> None:
    """Raise Unavailable unless the role can read the artefact."""
    place = Location.of(url)
    try:
        client("s3", scope, role_arn, "SageMaker").head_object(Bucket=place.bucket, Key=place.key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            raise Unavailable(f"Could not find model data at {url}.") from None
        raise Unavailable(_no_access(scope, role_arn, url)) from None
    except roles.RoleNotAssumable:
        raise Unavailable(_no_access(scope, role_arn, url)) from None


def fetch(scope: Scope, role_arn: str, url: str | None, target: Path, container: str) -> None:
    """Unpack the artefact into `target`, which appears only when it is complete.

    Args:
        url: of a tar.gz; None gives an empty folder.
        container: its name in messages, such as `container_1`.

    Raises:
        Unavailable: not there, not allowed, or not a tar.gz that stays within its folder.
    """
    if target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="fetch-", dir=target.parent))
    try:
        content = work / "content"
        content.mkdir()
        if url:
            archive = work / "model.tar.gz"
            _download(scope, role_arn, url, archive, container)
            _unpack(archive, content, url, container)
        content.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _download(scope: Scope, role_arn: str, url: str, archive: Path, container: str) -> None:
    place = Location.of(url)
    try:
        body = client("s3", scope, role_arn, "SageMaker").get_object(Bucket=place.bucket, Key=place.key)[
            "Body"
        ]
        with archive.open("wb") as file:
            shutil.copyfileobj(body, file)
    except (ClientError, BotoCoreError, roles.RoleNotAssumable):
        raise Unavailable(
            f'Failed to download model data for container "{container}" from URL: "{url}". Please ensure '
            "that there is an object located at the URL and that the role passed to CreateModel has "
            "permissions to download the object."
        ) from None


def _unpack(archive: Path, content: Path, url: str, container: str) -> None:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            _extract(tar, content)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise Unavailable(
            f'Failed to extract model data archive from URL "{url}" for container "{container}". Please '
            f"ensure that the object located at the URL is a valid tar.gz archive. ({error})"
        ) from None


def _extract(tar: tarfile.TarFile, into: Path) -> None:
    """Unpack; refuse absolute names, `..`, links to the outside and devices."""
    if hasattr(tarfile, "data_filter"):
        tar.extractall(into, filter="data")
        return
    # Python before 3.11.4 (Debian 12 has 3.11.2) knows no filters: plain files and folders alone.
    for member in tar:
        if not (member.isreg() or member.isdir()):
            raise tarfile.TarError(f"{member.name!r} is neither a file nor a folder")
        member.name = member.name.lstrip("/")
        if not (into / member.name).resolve().is_relative_to(into.resolve()):
            raise tarfile.TarError(f"{member.name!r} would be outside the destination")
        tar.extract(member, into, set_attrs=False)


def _no_image(image: str) -> str:
    return f"Requested image {image} not found."


def _role_advice(role_arn: str) -> str:
    return (
        f"Could not assume role {role_arn}. Please ensure that the role exists and that its trust "
        'relationship policy allows the action "sts:AssumeRole" for the service principal '
        '"sagemaker.amazonaws.com".'
    )


def _no_access(scope: Scope, role_arn: str, url: str) -> str:
    return (
        f'Could not access model data at {url}. Please ensure that the role "{role_arn}" exists and that its '
        'trust relationship policy allows the action "sts:AssumeRole" for the service principal '
        '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" permissions and that the '
        f"object is located in {scope.region}. If your Model uses multiple models or uncompressed models, "
        'please ensure that the role has "s3:ListBucket" permission.'
    )
