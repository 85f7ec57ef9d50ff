"""Pages of Glue's listings: as all of ours, with Glue's error for a token that is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pipeline.local.glue.errors import InvalidInputException, ValidationException
from pipeline.local.sagemaker import listing

T = TypeVar("T")


def page(
    items: Sequence[T], request: dict[str, Any], *, key: Callable[[T], Any], size: int
) -> tuple[list[T], str | None]:
    """One page of ordered items, and the token of the next or None; see `listing.page`."""
    try:
        return listing.page(items, request, key=key, size=size)
    except ValidationException as error:
        raise InvalidInputException(error.message) from None
