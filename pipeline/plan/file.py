"""A plan as a file: versioned, and sealed, so that what is applied is what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.errors import ApplyError
from pipeline.plan.model import (
    ImageAction,
    Plan,
    PropertyChange,
    ResourceChange,
    StackAction,
    UploadAction,
    sha256,
)

# 2: the templates that were compared with are in it.
FORMAT = 2


def dump(plan: Plan) -> str:
    """The plan's file: JSON with a seal over every byte of its content."""
    body = {"format": FORMAT, **plan.as_dict()}
    return json.dumps({**body, "seal": sha256(body)}, indent=2, ensure_ascii=False) + "\n"


def parse(text: str, where: str) -> Plan:
    """The plan in a file that `dump` wrote.

    Raises:
        ApplyError: not a plan, of another format, or changed since it was written.
    """
    again = "make a new one: pipeline plan NAME --out FILE"
    try:
        data = json.loads(text)
        seal, kind = data.pop("seal"), data["format"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ApplyError("this is not a plan file", where=where, hint=again) from error
    if kind != FORMAT:
        raise ApplyError(f"plan format {kind} is not known here (only {FORMAT})", where=where, hint=again)
    if sha256(data) != seal:
        raise ApplyError("the plan was changed after it was written", where=where, hint=again)
    return _plan(data)


def _plan(data: Mapping[str, Any]) -> Plan:
    return Plan(
        name=data["name"],
        environment=data["environment"],
        account=data["account"],
        region=data["region"],
        account_stack=_stack(data["account_stack"]),
        uploads=tuple(UploadAction(**u) for u in data["uploads"]),
        image=ImageAction(**data["image"]),
        pipeline_stack=_stack(data["pipeline_stack"]),
        against=data["against"],
    )


def _stack(data: Mapping[str, Any]) -> StackAction:
    return StackAction(
        **{
            **data,
            "parameters": _pairs(data["parameters"]),
            "unresolved": tuple(data["unresolved"]),
            "tags": _pairs(data["tags"]),
            "before_parameters": _pairs(data["before_parameters"]),
            "changes": tuple(
                ResourceChange(**{**c, "properties": tuple(PropertyChange(**p) for p in c["properties"])})
                for c in data["changes"]
            ),
            "other": tuple(PropertyChange(**p) for p in data["other"]),
        }
    )


def _pairs(values: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in values)
