"""What every List operation shares: filters, order, pages."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pipeline.local.sagemaker.errors import ValidationException

T = TypeVar("T")
_PAGE = 10
_PAGING = ("NextToken", "MaxResults")


def page(
    items: Sequence[T], request: dict[str, Any], *, key: Callable[[T], Any], size: int = _PAGE
) -> tuple[list[T], str | None]:
    """One page of ordered items, and the token of the next or None.

    The token names the last item given, not a number, so that items made or deleted between two
    calls neither repeat nor hide others. It is bound to the query it came from.

    Args:
        key: a JSON value that tells an item from all others.
        size: page size when MaxResults is absent.
    """
    limit = int(request.get("MaxResults") or size)
    query = {name: value for name, value in request.items() if name not in _PAGING}
    mark = hashlib.sha256(json.dumps(query, sort_keys=True, default=str).encode()).hexdigest()[:12]
    start = 0
    if request.get("NextToken"):
        last, position = _read(request["NextToken"], mark)
        keys = [key(item) for item in items]
        start = keys.index(last) + 1 if last in keys else min(position, len(items))
    chosen = list(items[start : start + limit])
    if not chosen or start + limit >= len(items):
        return chosen, None
    token = json.dumps([mark, key(chosen[-1]), start + limit])
    return chosen, base64.urlsafe_b64encode(token.encode()).decode()


def _read(token: str, mark: str) -> tuple[Any, int]:
    try:
        owner, last, position = json.loads(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        owner, last, position = None, None, 0
    if owner != mark:
        raise ValidationException("The pagination token is invalid for this request.")
    return last, int(position)


def select(
    records: Sequence[dict[str, Any]],
    request: dict[str, Any],
    *,
    name: str = "Name",
    status: str | None = None,
    ascending: bool = False,
) -> tuple[list[dict[str, Any]], str | None]:
    """Records that pass the request's filters, ordered, one page of them.

    Understands NameContains, StatusEquals, CreationTimeAfter/Before, LastModifiedTimeAfter/Before,
    SortBy (CreationTime by default, Name, Status, LastModifiedTime) and SortOrder.

    Args:
        name: key of a record's name.
        status: key of a record's status, for StatusEquals and SortBy=Status.
        ascending: the operation's default order.
    """
    chosen = [record for record in records if _passes(record, request, name, status)]
    field = {"Name": name, "Status": status or name}.get(request.get("SortBy", ""), request.get("SortBy"))
    order = request.get("SortOrder") or ("Ascending" if ascending else "Descending")
    chosen.sort(
        key=lambda record: (record.get(field or "CreationTime", 0), record[name]),
        reverse=order == "Descending",
    )
    return page(chosen, request, key=lambda record: record[name])


def _passes(record: dict[str, Any], request: dict[str, Any], name: str, status: str | None) -> bool:
    part = request.get("NameContains")
    if part and part.lower() not in str(record[name]).lower():
        return False
    if status and request.get("StatusEquals") and record.get(status) != request["StatusEquals"]:
        return False
    for field in ("CreationTime", "LastModifiedTime"):
        moment = record.get(field, 0.0)
        after, before = request.get(f"{field}After"), request.get(f"{field}Before")
        if (after is not None and moment <= after) or (before is not None and moment >= before):
            return False
    return True
