"""TagResource, UntagResource, GetTags: a map, kept with the job, found by its ARN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.local.glue.errors import EntityNotFoundException, InvalidInputException
from pipeline.local.glue.service import current_scope, operation
from pipeline.local.glue.store import JOB, Record, Scope, store

LIMIT = 50


def checked(tags: dict[str, str]) -> dict[str, str]:
    """The tags, or the error for reserved keys or too many."""
    if any(key.lower().startswith("aws:") for key in tags):
        raise InvalidInputException("aws: prefixed tag key names are not allowed for external use.")
    if len(tags) > LIMIT:
        raise InvalidInputException(f"The number of tags exceeds the limit of {LIMIT} tags per resource.")
    return tags


def on_start() -> None:
    """Let MiniStack's policy evaluation (aws:ResourceTag) and its tagging API see the jobs' tags."""
    from ministack.services import tagging

    tagging._RESOURCE_TAG_COLLECTORS["glue"] = _collect
    tagging._COLLECTORS["glue"] = _collect


def _collect() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """ARN and tags of all jobs of the current request's account and region."""
    scope = current_scope()
    for name, record in store.items(scope, JOB):
        tags = record.get("Tags") or {}
        yield scope.arn(f"job/{name}"), [{"Key": key, "Value": value} for key, value in tags.items()]


def _own(request: dict[str, Any], scope: Scope) -> list[str]:  # noqa: ARG001
    return [request["ResourceArn"]]


def _find(scope: Scope, arn: str) -> tuple[str, Record]:
    """Name and record of an ARN."""
    parts = arn.split(":", 5)
    kind, _, name = parts[5].partition("/") if len(parts) == 6 else ("", "", "")
    if kind != "job" or parts[3:5] != [scope.region, scope.account]:
        raise InvalidInputException(f"Resource {arn} is not a Glue job of this account and region.")
    record = store.get(scope, JOB, name)
    if record is None:
        raise EntityNotFoundException(f"Job with name: {name} not found.")
    return name, record


@operation("TagResource", _own)
def tag_resource(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Add or overwrite tags."""
    name, record = _find(scope, request["ResourceArn"])
    tags = checked({**(record.get("Tags") or {}), **request["TagsToAdd"]})
    with store.edit(scope, JOB, name) as kept:
        kept["Tags"] = tags
    return {}


@operation("UntagResource", _own)
def untag_resource(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Remove the tags of the given keys; a key that is not there is no error."""
    name, _ = _find(scope, request["ResourceArn"])
    with store.edit(scope, JOB, name) as kept:
        gone = request["TagsToRemove"]
        kept["Tags"] = {key: value for key, value in (kept.get("Tags") or {}).items() if key not in gone}
    return {}


@operation("GetTags", _own)
def get_tags(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The tags of a job."""
    _, record = _find(scope, request["ResourceArn"])
    return {"Tags": record.get("Tags") or {}}
