"""Which versions may be rolled back to: the one that served before, or a named one; whole, and approved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, message
from pipeline.errors import ApplyError, SettingsError
from pipeline.names import Names
from pipeline.promote import history, objects
from pipeline.promote.package import ROLLED_BACK

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings


class NoWayBack(ApplyError):
    """There is nothing to roll back to, or what was named cannot be deployed; the text says why."""


def current(settings: Settings, clients: Clients) -> dict[str, Any] | None:
    """The version that the endpoint serves, whatever its status: it may be in trouble. None: something else.

    Raises:
        NoWayBack: there is no endpoint.
    """
    try:
        endpoint = clients.sagemaker.describe_endpoint(EndpointName=settings.stack_name)
    except ClientError as error:
        if code(error) == "ValidationException" and "Could not find" in message(error):
            raise NoWayBack(
                "there is no endpoint: nothing was deployed yet",
                where=f"endpoint {settings.stack_name}",
                hint=f"pipeline run {settings.name} -e {settings.environment_name}",
            ) from error
        raise
    return _package_of(clients, str(endpoint["EndpointConfigName"]))


def before(settings: Settings, clients: Clients, now: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """(how it was chosen, the version that served before the current one).

    An endpoint config proves nothing: a run makes one before it deploys, and may fail to.
    """
    seen = {str((now or {}).get("ModelPackageArn", ""))}
    for run in history.runs(settings, clients):
        if run.package and run.package not in seen:
            seen.add(run.package)
            package = _describe(clients, run.package)
            if package is not None and _may_serve(package):
                return f"it served before, as {run.config}", package
    for package in _older_versions(settings, clients, now):
        if package["ModelPackageArn"] not in seen and _may_serve(package):
            return "the newest approved one that is older; no run that is kept has deployed another", package
    raise NoWayBack(
        "no other version has served before that is approved and was not rolled back from itself",
        where=settings.stack_name,
        hint="name one with --to; versions: aws sagemaker list-model-packages --model-package-group-name "
        f"{settings.stack_name}",
    )


def _older_versions(
    settings: Settings, clients: Clients, now: Mapping[str, Any] | None
) -> Iterator[dict[str, Any]]:
    pages = clients.sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=settings.stack_name,
        ModelApprovalStatus="Approved",
        SortBy="CreationTime",
        SortOrder="Descending",
    )
    newest = int((now or {}).get("ModelPackageVersion", 0))
    for page in pages:
        for summary in page["ModelPackageSummaryList"]:
            if not newest or int(summary["ModelPackageVersion"]) < newest:
                yield clients.sagemaker.describe_model_package(ModelPackageName=summary["ModelPackageArn"])


def _package_of(clients: Clients, config: str) -> dict[str, Any] | None:
    """The version behind an endpoint config; None where anything of it is gone, or there is none."""
    try:
        variants = clients.sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        model = clients.sagemaker.describe_model(ModelName=variants[0]["ModelName"])
        arn = (model.get("PrimaryContainer") or {}).get("ModelPackageName", "")
    except ClientError as error:
        if code(error) in {"ValidationException", "ResourceNotFound"}:
            return None
        raise
    return _describe(clients, arn) if arn else None


def _describe(clients: Clients, arn: str) -> dict[str, Any] | None:
    try:
        return dict(clients.sagemaker.describe_model_package(ModelPackageName=arn))
    except ClientError as error:
        if code(error) in {"ValidationException", "ResourceNotFound"}:
            return None
        raise


def named(settings: Settings, clients: Clients, to: str) -> dict[str, Any]:
    """The version of this number or ARN.

    Raises:
        SettingsError: it is neither, or another pipeline's.
        NoWayBack: there is no such version.
    """
    group = Names.of(settings).arn("sagemaker", f"model-package/{settings.stack_name}")
    arn = f"{group}/{to}" if to.isdigit() else to
    if not re.fullmatch(re.escape(group) + r"/[1-9]\d*", arn):
        raise SettingsError(
            f"{to!r} is no version of {settings.stack_name}: its number or its ARN is",
            where="--to",
            hint=f"such as --to 3, or --to {group}/3",
        )
    found = _describe(clients, arn)
    if found is None:
        raise NoWayBack(
            "there is no such version",
            where=arn,
            hint="versions: aws sagemaker list-model-packages --model-package-group-name "
            f"{settings.stack_name}",
        )
    return found


def require(clients: Clients, package: Mapping[str, Any], left: str) -> None:
    """Refuse a version that serves already, is not approved, or is not whole."""
    arn = str(package["ModelPackageArn"])
    if arn == left:
        raise NoWayBack(
            "the endpoint serves this version already",
            where=arn,
            hint="leave --to out for the one before, or name another",
        )
    if package.get("ModelApprovalStatus") != "Approved":
        why = package.get("ApprovalDescription")
        status = package.get("ModelApprovalStatus")
        raise NoWayBack(
            f"it is {status}{f': {why}' if why else ''}; only an approved version may serve",
            where=arn,
            hint="choose another with --to",
        )
    container = package["InferenceSpecification"]["Containers"][0]
    place = objects.Place.of(str(container["ModelDataUrl"]))
    etag = objects.etag(clients, place)
    if not etag:
        raise NoWayBack("its artifact is gone", where=str(place), hint="choose another with --to")
    if etag != container.get("ModelDataETag", etag):
        raise NoWayBack(
            "its artifact was replaced after it was registered",
            where=str(place),
            hint="put the old version of the object back (the bucket keeps versions)",
        )
    _require_image(clients, str(container["Image"]), str(container.get("ImageDigest", "")))


def _require_image(clients: Clients, image: str, digest: str) -> None:
    name, _, own = image.partition("@")
    repository = name.partition("/")[2].partition(":")[0]
    try:
        clients.ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": own or digest}])
    except ClientError as error:
        if code(error) in {"ImageNotFoundException", "RepositoryNotFoundException"}:
            raise NoWayBack("its image is gone", where=image, hint="choose another with --to") from error
        raise


def _may_serve(package: Mapping[str, Any]) -> bool:
    return package.get("ModelApprovalStatus") == "Approved" and ROLLED_BACK not in facts(package)


def facts(package: Mapping[str, Any] | None) -> dict[str, str]:
    """A version's metadata; none without a version."""
    return dict((package or {}).get("CustomerMetadataProperties", {}))
