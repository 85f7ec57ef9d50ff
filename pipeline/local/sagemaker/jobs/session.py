"""What a job does, it does as its role: clients, the image it may pull, the data it may see."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from pipeline.local import builtin, context, ecr, roles
from pipeline.local.api.access import Caller
from pipeline.local.api.errors import AccessDeniedException
from pipeline.local.api.store import Scope
from pipeline.local.runner import EnvironmentBroken
from pipeline.local.runner import current as current_runner
from pipeline.local.sagemaker.errors import ValidationException
from pipeline.local.sagemaker.jobs import failure, objects

# SageMaker names its sessions so; that it is one name for all jobs lets them share clients, too.
SESSION = "SageMaker"
_IMAGE = re.compile(
    r"^(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[^:@]+)(?:@(?P<digest>.+)|:(?P<tag>.+))?$"
)
_PULL_ACTIONS = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_PULL = "ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer"


class JobSession:
    """A job's role, assumed by SageMaker.

    Raises:
        roles.RoleNotAssumable: there is no such role, or it does not trust SageMaker.
    """

    def __init__(self, scope: Scope, role_arn: str) -> None:
        self.scope = scope
        self.role_arn = role_arn
        self.credentials = roles.credentials_for(role_arn, SESSION, "sagemaker")

    def client(self, service: str) -> Any:
        """A boto3 client of the role."""
        return roles.client(service, self.scope.region, self.credentials)

    def variables(self, network: bool) -> dict[str, str]:
        """What the program needs to call AWS as the role; without network it can call nobody."""
        found = {"AWS_REGION": self.scope.region, "AWS_DEFAULT_REGION": self.scope.region}
        if network:
            found |= {
                "AWS_ENDPOINT_URL": context.endpoint_url(),
                "AWS_ACCESS_KEY_ID": self.credentials["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": self.credentials["SecretAccessKey"],
                "AWS_SESSION_TOKEN": self.credentials["SessionToken"],
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        return found


def assumed(scope: Scope, role_arn: str) -> JobSession:
    """The role's session, or the error that creating a job gives."""
    try:
        return JobSession(scope, role_arn)
    except roles.RoleNotAssumable:
        raise ValidationException(
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
            "'sagemaker.amazonaws.com' to assume the role."
        ) from None


def require_image(session: JobSession, image: str) -> None:
    """Raise unless the role can pull the image."""
    found = _IMAGE.match(image)
    if builtin.is_aws(image):
        try:
            require_algorithm(session.credentials, session.scope, image)
        except builtin.NotCarried as error:
            raise ValidationException(str(error)) from None
        except AccessDeniedException as error:
            raise ValidationException(
                f"Access denied for registry path: {image}. Please check if role {session.role_arn} has "
                f"proper pull permissions for SageMaker: {_PULL} ({error})"
            ) from None
        return
    if not found:
        raise ValidationException(
            f"Invalid image URI {image}. Please provide a valid Amazon Elastic Container Registry path "
            "of the "
            "Docker image to run."
        )
    wanted = {"imageDigest": found["digest"]} if found["digest"] else {"imageTag": found["tag"] or "latest"}
    place = {"registryId": found["account"], "repositoryName": found["repository"]}
    said = ""
    try:
        images = session.client("ecr").batch_get_image(**place, imageIds=[wanted]).get("images")
        if images:
            _require_layers(session, place, json.loads(images[0]["imageManifest"]))
            return
    except ClientError as error:
        said = f" ({error.response['Error'].get('Message', '')})"
    raise ValidationException(
        f"Access denied for repository: {found['repository']} in registry ID: {found['account']}. Please "
        "check "
        f"if your ECR repository and image exist and role {session.role_arn} has proper pull permissions for "
        f"SageMaker: {_PULL}{said}"
    )


def require_algorithm(credentials: dict[str, str], scope: Scope, image: str) -> str:
    """An image of AWS's own by digest; nothing is pulled, but a role has to be allowed to.

    Raises:
        builtin.NotCarried: no image stands in for it here.
        AccessDeniedException: the role's policy does not let it pull.
    """
    found = builtin.resolved(image)
    caller = Caller(credentials["AccessKeyId"], scope, "ecr")
    for action in _PULL_ACTIONS:
        caller.check(action, builtin.repository_arn(image))
    caller.check("ecr:GetAuthorizationToken", "*")
    return found


def _require_layers(session: JobSession, place: dict[str, str], manifest: dict[str, Any]) -> None:
    """The two further calls of a pull, for their permissions: the layers themselves are on this machine."""
    client = session.client("ecr")
    for layer in manifest.get("layers", [])[:1]:
        for call in (
            lambda digest: client.batch_check_layer_availability(**place, layerDigests=[digest]),
            lambda digest: client.get_download_url_for_layer(**place, layerDigest=digest),
        ):
            try:
                call(layer["digest"])
            except ClientError as error:
                if error.response["Error"]["Code"].startswith("AccessDenied"):
                    raise


def require_objects(session: JobSession, uri: str) -> None:
    """Raise unless the role finds something under an S3 URI."""
    try:
        bucket, prefix = objects.split(uri)
    except objects.BadDataSource as error:
        raise ValidationException(f"Invalid S3 data source: {error}") from None
    said = ""
    try:
        if session.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("KeyCount"):
            return
    except ClientError as error:
        said = error.response["Error"].get("Message") or error.response["Error"].get("Code", "")
    raise ValidationException(failure.no_objects(uri, session.scope.region, session.role_arn, said))


def pull(image: str) -> Path:
    """The image's folder, its environment made ready; raises JobFailed."""
    try:
        folder = ecr.image_folder(image)
    except ecr.ImageNotFound as error:
        raise failure.JobFailed(
            "ClientError: Cannot pull algorithm container. Either the image does not exist or its "
            "permissions "
            f"are incorrect. ({error})"
        ) from None
    try:
        current_runner().prepare(folder)
    except EnvironmentBroken as error:
        said = str(error)
        start = "ClientError: Cannot pull algorithm container. The image's requirements cannot be installed: "
        raise failure.JobFailed(start + said[-(failure.LIMIT - len(start)) :]) from None
    return folder
