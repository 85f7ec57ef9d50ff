"""A tested version registered again in the next environment's group: the same model, and where it is from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.aws.errors import told
from pipeline.errors import ApplyError
from pipeline.promote.tags import Tag
from pipeline.promote.tested import Tested

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# The registry's alphabet for metadata (CustomerMetadataValue), and its length.
_ODD = re.compile(r"[^\w .:/=+@-]")
MOST = 256
# Metadata of a version that was rolled back from: when, and why.
ROLLED_BACK = "rolled_back"


@dataclass(frozen=True)
class Copies:
    """What the version is made of over there.

    Args:
        image: `<registry>/<repository>@sha256:<digest>`.
        model_url: its artifact; sha256 of it, in hex.
        reports: each report's address of before -> of now.
    """

    image: str
    model_url: str
    sha256: str
    reports: Mapping[str, str] = field(default_factory=dict)


class Declined(ApplyError):
    """The environment has this version already, and rejected it."""


def find(settings: Settings, clients: Clients, tested: Tested, tag: Tag) -> dict[str, Any] | None:
    """DescribeModelPackage of what an earlier promotion of the tag registered; None without one.

    Raises:
        Declined: it is Rejected.
    """
    wanted = _description(tested, tag)
    with told(clients.target.name):
        pages = clients.sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=settings.stack_name, SortBy="CreationTime", SortOrder="Descending"
        )
        for page in pages:
            for summary in page["ModelPackageSummaryList"]:
                if summary.get("ModelPackageDescription") != wanted:
                    continue
                found: dict[str, Any] = clients.sagemaker.describe_model_package(
                    ModelPackageName=summary["ModelPackageArn"]
                )
                facts = found.get("CustomerMetadataProperties", {})
                if (facts.get("promoted_from"), facts.get("promoted_tag")) == (tested.arn, text(tag.name)):
                    _refuse_declined(settings, found, tag)
                    return found
    return None


def register(
    settings: Settings, clients: Clients, tested: Tested, tag: Tag, copies: Copies
) -> dict[str, Any]:
    """Register the version, or find it; DescribeModelPackage of it.

    Raises:
        Declined: it is there, and Rejected.
        ApplyError: it is there, made of something else.
    """
    found = find(settings, clients, tested, tag)
    if found is None:
        with told(clients.target.name):
            arn = clients.sagemaker.create_model_package(**request(settings, tested, tag, copies))[
                "ModelPackageArn"
            ]
            found = dict(clients.sagemaker.describe_model_package(ModelPackageName=arn))
    container = found["InferenceSpecification"]["Containers"][0]
    made = (container["Image"], container["ModelDataUrl"])
    if made != (copies.image, copies.model_url):
        raise ApplyError(
            f"it was registered with {made[0]} and {made[1]}, promoted are {copies.image} and "
            f"{copies.model_url}",
            where=found["ModelPackageArn"],
            hint="release it again with the next version's tag",
        )
    return found


def request(settings: Settings, tested: Tested, tag: Tag, copies: Copies) -> dict[str, Any]:
    """CreateModelPackage's parameters. Pure."""
    automatic = settings.environment.approval.mode == "automatic"
    specification = tested.package["InferenceSpecification"]
    container = {
        key: value
        for key, value in specification["Containers"][0].items()
        # The registry notes these itself, from what it finds here.
        if key not in {"Image", "ImageDigest", "ModelDataUrl", "ModelDataETag", "ModelDataSource"}
    }
    instances = [settings.environment.endpoint.instance_type]
    facts = {
        **tested.metadata,
        "image": copies.image,
        "promoted_from": tested.arn,
        "promoted_tag": tag.name,
        "promoted_commit": tag.commit,
        "model_sha256": copies.sha256,
    }
    if "evaluation_uri" in facts:
        facts["evaluation_uri"] = copies.reports.get(facts["evaluation_uri"], facts["evaluation_uri"])
    wanted = {
        "ModelPackageGroupName": settings.stack_name,
        "ModelPackageDescription": _description(tested, tag),
        # A repeat whose answer got lost makes no second version.
        "ClientToken": hashlib.sha256(f"{tested.arn} {tag.name} {settings.stack_name}".encode()).hexdigest()[
            :36
        ],
        "ModelApprovalStatus": "Approved" if automatic else "PendingManualApproval",
        "InferenceSpecification": {
            **{k: v for k, v in specification.items() if k != "Containers"},
            "Containers": [{**container, "Image": copies.image, "ModelDataUrl": copies.model_url}],
            "SupportedRealtimeInferenceInstanceTypes": instances,
            "SupportedTransformInstanceTypes": instances,
        },
        "CustomerMetadataProperties": {key: text(value) for key, value in facts.items()},
    }
    metrics = tested.package.get("ModelMetrics")
    return {**wanted, "ModelMetrics": _moved(metrics, copies.reports)} if metrics else wanted


def reports(package: Mapping[str, Any]) -> list[str]:
    """Addresses of all reports that a version names, each once."""
    found = list(_addresses(package.get("ModelMetrics") or {}))
    own = package.get("CustomerMetadataProperties", {}).get("evaluation_uri", "")
    return list(dict.fromkeys([*found, *([own] if own.startswith("s3://") else [])]))


def _addresses(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        own = [value["S3Uri"]] if isinstance(value.get("S3Uri"), str) else []
        return own + [address for each in value.values() for address in _addresses(each)]
    return []


def _moved(value: Any, moved: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {
            k: moved.get(v, v) if k == "S3Uri" and isinstance(v, str) else _moved(v, moved)
            for k, v in value.items()
            # The digest is of S3's, over what lies at the old address.
            if k != "ContentDigest"
        }
    return value


def _refuse_declined(settings: Settings, package: Mapping[str, Any], tag: Tag) -> None:
    if package.get("ModelApprovalStatus") == "Rejected":
        version, why = package.get("ModelPackageVersion"), package.get("ApprovalDescription")
        raise Declined(
            f"{settings.environment_name} rejected what {tag.name} brought, version {version}: "
            f"{why or 'no reason was given'}",
            where=str(package["ModelPackageArn"]),
            hint="mend it and release the next version; if it was rejected in error, release the same commit "
            "with the next version's tag",
        )
    mark = package.get("CustomerMetadataProperties", {}).get(ROLLED_BACK)
    if mark:
        version = package.get("ModelPackageVersion")
        raise Declined(
            f"{settings.environment_name} rolled {tag.name}, version {version}, back at {mark}",
            where=str(package["ModelPackageArn"]),
            hint="mend it and release the next version; or, if it shall serve nonetheless: "
            f"pipeline rollback {settings.name} -e {settings.environment_name} --to {version}",
        )


def _description(tested: Tested, tag: Tag) -> str:
    return f"{tag.name}, promoted from {tested.arn}"


def text(value: str) -> str:
    """A text as the registry's metadata takes it."""
    return _ODD.sub("_", value)[:MOST] or "none"
