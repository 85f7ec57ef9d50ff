"""Says by name what has no open implementation, and what to write instead, when it is used."""

from __future__ import annotations

from typing import Any, NoReturn


class NotAvailable(NotImplementedError):
    """A part of Glue's library that exists on AWS only."""


def refuse(name: str, instead: str) -> NoReturn:
    """Raise for `name`."""
    raise NotAvailable(
        f"{name} is not to be had outside AWS Glue (its code is closed). Instead: {instead}. "
        "The same lines then run on AWS Glue and here."
    )


class Refused:
    """Stands for a class or function; any use of it is refused."""

    def __init__(self, name: str, instead: str) -> None:
        self.__name__ = name
        self._instead = instead

    def __call__(self, *_args: Any, **_options: Any) -> NoReturn:
        refuse(self.__name__, self._instead)

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        refuse(f"{self.__name__}.{attribute}", self._instead)
