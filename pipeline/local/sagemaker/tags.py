"""Tags: kept with their resource, found by its ARN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.local.sagemaker.errors import ResourceLimitExceeded, ValidationException
from pipeline.local.sagemaker.listing import page
from pipeline.local.sagemaker.service import current_scope, operation
from pipeline.local.sagemaker.store import Record, Scope, store

LIMIT = 50
# Resource types of ARNs are the store's kinds; a `training-job` record has its ARN under `TrainingJobArn`.
KINDS = (
    "training-job",
    "processing-job",
    "hyper-parameter-tuning-job",
    "transform-job",
    "model",
    "endpoint-config",
    "endpoint",
    "model-package-group",
    "model-package",
)


def checked(tags: list[dict[str, str]]) -> list[dict[str, str]]:
    """The tags, or the error AWS gives for doubled keys, reserved keys or too many."""
    keys = [tag["Key"] for tag in tags]
    doubled = sorted({key for key in keys if keys.count(key) > 1})
    if doubled:
        raise ValidationException(f"Duplicate tag keys are not allowed: {', '.join(doubled)}")
    reserved = [key for key in keys if key.lower().startswith("aws:")]
    if reserved:
        raise ValidationException("aws: prefixed tag key names are not allowed for external use.")
    if len(keys) > LIMIT:
        raise ResourceLimitExceeded(f"The number of tags exceeds the limit of {LIMIT} tags per resource.")
    return tags


def on_start() -> None:
    """Let MiniStack's policy evaluation (aws:ResourceTag) and its tagging API see SageMaker's tags."""
    from ministack.services import tagging

    tagging._RESOURCE_TAG_COLLECTORS["sagemaker"] = _collect
    tagging._COLLECTORS["sagemaker"] = _collect


def _collect() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """ARN and tags of all resources of the current request's account and region."""
    scope = current_scope()
    for kind in KINDS:
        for record in store.list(scope, kind):
            yield record[_arn_member(kind)], record.get("Tags") or []


def _arn_member(kind: str) -> str:
    return "".join(part.title() for part in kind.split("-")) + "Arn"


def _own(request: dict[str, Any], scope: Scope) -> list[str]:  # noqa: ARG001
    return [request["ResourceArn"]]


def _find(scope: Scope, arn: str) -> tuple[str, str, Record]:
    """Kind, name and record of an ARN."""
    parts = arn.split(":", 5)
    kind = parts[5].partition("/")[0] if len(parts) == 6 else ""
    if parts[2:3] != ["sagemaker"] or kind not in KINDS:
        raise ValidationException(f"Resource {arn} is not a SageMaker resource that can be tagged here.")
    if parts[3] != scope.region:
        raise ValidationException(f"ARN should be scoped to correct region: {scope.region}")
    if parts[4] != scope.account:
        raise ValidationException(f"ARN should be scoped to correct account: {scope.account}")
    member = _arn_member(kind)
    for name, record in store.items(scope, kind):
        if record.get(member) == arn:
            return kind, name, record
    raise ValidationException(f"Could not find resource: {arn}")


@operation("AddTags", _own)
def add_tags(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Add or overwrite tags; answers all tags of the resource."""
    kind, name, record = _find(scope, request["ResourceArn"])
    added = {tag["Key"]: tag["Value"] for tag in checked(request["Tags"])}
    merged = {tag["Key"]: tag["Value"] for tag in record.get("Tags") or []} | added
    tags = checked([{"Key": key, "Value": value} for key, value in merged.items()])
    with store.edit(scope, kind, name) as kept:
        kept["Tags"] = tags
    return {"Tags": tags}


@operation("ListTags", _own)
def list_tags(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Tags of a resource, by pages of 50 unless told."""
    _, _, record = _find(scope, request["ResourceArn"])
    tags, token = page(record.get("Tags") or [], request, key=lambda tag: tag["Key"], size=LIMIT)
    return {"Tags": tags, "NextToken": token}


@operation("DeleteTags", _own)
def delete_tags(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Remove the tags of the given keys; a key that is not there is no error."""
    kind, name, _ = _find(scope, request["ResourceArn"])
    with store.edit(scope, kind, name) as kept:
        kept["Tags"] = [tag for tag in kept.get("Tags") or [] if tag["Key"] not in request["TagKeys"]]
    return {}
