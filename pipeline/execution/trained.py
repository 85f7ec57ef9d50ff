"""What putting data over data means: for the versions that were trained on it, and for the next run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, told

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.execution.data import DataObject
    from pipeline.settings.model import Settings

# Versions that are looked at, newest first.
LOOKED_AT = 20


def versions(settings: Settings, clients: Clients, day: date) -> list[int]:
    """The newest registered versions that were trained on the data of `day`, newest first."""
    found: list[int] = []
    with told(clients.target.name):
        try:
            listed = clients.sagemaker.list_model_packages(
                ModelPackageGroupName=settings.stack_name,
                SortBy="CreationTime",
                SortOrder="Descending",
                MaxResults=LOOKED_AT,
            )["ModelPackageSummaryList"]
        except ClientError as error:
            # A group that does not exist is a validation error there.
            if code(error) in {"ValidationException", "ResourceNotFound"}:
                return []
            raise
        for summary in listed:
            described = clients.sagemaker.describe_model_package(ModelPackageName=summary["ModelPackageArn"])
            last = (described.get("CustomerMetadataProperties") or {}).get("data_date", "")
            if last and _covers(date.fromisoformat(last), settings.pipeline.data.window_days, day):
                found.append(int(described.get("ModelPackageVersion", 0)))
    return found


def _covers(last: date, days: int, day: date) -> bool:
    return last - timedelta(days=days - 1) <= day <= last


def sentences(
    name: str, put: Sequence[DataObject], beside: Sequence[str], trained: Sequence[int]
) -> list[str]:
    """What a person should know of data that was put where data was. Pure.

    Args:
        name: the pipeline.
        put: what was put; `was` says what lay there before.
        beside: addresses of what lies in the same folders and was not put now.
        trained: versions that were trained on data of this day.
    """
    replaced = [item for item in put if item.was == "other"]
    added = [item for item in put if not item.was]
    who = f"version {', '.join(map(str, trained))}"
    said = []
    if trained and not replaced and not added:
        said.append(
            f"the same as before, and {who} was trained on it: a run finds nothing new there "
            f"(train anew all the same: pipeline run {name} --force)"
        )
    elif trained:
        what = " and ".join(
            part
            for part in (
                f"{len(replaced)} objects replaced" if replaced else "",
                f"{len(added)} added" if added else "",
            )
            if part
        )
        said.append(
            f"{what} in data that {who} was trained on: the next run of that date trains anew, and "
            "`pipeline trace` can no longer prove what was trained on; another --date keeps both"
        )
    elif replaced:
        said.append(f"{len(replaced)} objects replaced")
    if beside:
        more = f" and {len(beside) - 1} more" if len(beside) > 1 else ""
        said.append(f"a run reads what was there besides, too: {beside[0]}{more}")
    return said
