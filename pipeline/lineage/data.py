"""The data a model was made of: whether S3 still holds exactly that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pipeline.lineage.links import Chain
from pipeline.plan import functions

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings


def link(chain: Chain, settings: Settings, clients: Clients, facts: Mapping[str, str]) -> None:
    """Compare the version that was recorded with that of the objects that are there now.

    Data that was added to or replaced since is no contradiction, but no proof either: unknown.
    """
    recorded, day = facts.get("data_version", ""), facts.get("data_date", "")
    if not recorded or not day:
        chain.add("data", recorded, False, "the version names none")
        return
    asked, items = _objects(settings, clients, date.fromisoformat(day))
    now = asked.data_version(items)
    if now == recorded:
        proof = f"{len(items)} objects of {day} in s3://{settings.data_bucket}, by key, ETag and size"
        chain.add("data", recorded, True, proof)
    elif not items:
        chain.add("data", recorded, False, f"the data of {day} is gone from s3://{settings.data_bucket}")
    else:
        chain.add("data", recorded, None, f"the data of {day} was changed since: it is {now[:16]}... now")


def _objects(settings: Settings, clients: Clients, last: date) -> tuple[Any, list[Any]]:
    """The state machine's own function, and the objects that a run for that date would take by it."""
    wanted = settings.pipeline.data
    asked = functions.load(Path(settings.root), "check_data", {}, clients)
    config = SimpleNamespace(data_prefix=wanted.prefix, suffix=wanted.suffix)
    found = [
        item
        for name, channel in sorted(wanted.given.items())
        for day in asked.window(last, wanted.window_days)
        for item in asked.list_items(
            settings.data_bucket, asked.folder(config, asked.Channel(name, channel.prefix), day)
        )
    ]
    return asked, found
