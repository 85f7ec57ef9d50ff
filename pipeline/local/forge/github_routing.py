"""How the API's routes are declared: method, path, the rights that are enough, and GitHub's refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipeline.local.forge.github_store import BOT

if TYPE_CHECKING:
    from pipeline.local.forge.github_api import Request

DOCUMENTATION = "https://docs.github.com/rest"
Rights = tuple[tuple[str, str], ...]
Handler = Callable[["Request"], Any]
Route = tuple[str, re.Pattern[str], Rights, Handler]


class Refused(Exception):
    """An answer that is not 2xx, in GitHub's shape."""

    def __init__(self, status: int, message: str, errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message}
        if errors:
            self.body["errors"] = errors
        self.body |= {"documentation_url": DOCUMENTATION, "status": str(status)}


def route(method: str, pattern: str, *rights: str) -> Callable[[Handler], Handler]:
    """Declare a handler; `rights` such as `issues:read`, any of which is enough."""
    split = tuple((name, level) for name, _, level in (right.partition(":") for right in rights))
    # `{number}` takes digits, any other name what stands between two slashes.
    named = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    compiled = re.compile(named.replace("(?P<number>[^/]+)", r"(?P<number>\d+)"))

    def register(handler: Handler) -> Handler:
        handler.route = (method, compiled, split, handler)  # type: ignore[attr-defined]
        return handler

    return register


def one(found: Any) -> Any:
    """`found`, or GitHub's 404."""
    if found is None:
        raise Refused(404, "Not Found")
    return found


def user(login: str) -> dict[str, Any]:
    """Who writes with this token."""
    return dict(BOT) if login == BOT["login"] else {"login": login, "id": 2, "type": "User"}


def routes(module: ModuleType) -> list[Route]:
    """All that a module declares."""
    return [each.route for each in vars(module).values() if hasattr(each, "route")]
