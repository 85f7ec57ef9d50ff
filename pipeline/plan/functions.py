"""The pipeline's own Lambdas, asked here what they would answer: the code that decides also predicts.

Their files are loaded as they would be packed, with the environment that the plan would give them, and with
clients that only read: what a function would write, it leaves out.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from pipeline.aws.errors import DENIED, code

if TYPE_CHECKING:
    from pipeline.aws import Clients

READS = ("get_", "list_", "describe_", "head_", "search", "can_paginate", "exceptions", "meta")
CALLS = ("list_", "describe_", "head_", "get_object", "get_parameter")
# HEAD has no body, so S3's refusal is the bare status.
REFUSED = DENIED | {"403", "Forbidden"}
# boto3's names that are no attributes of Clients.
SPELT = {"lambda": "lambda_"}


def load(
    root: Path, folder: str, environment: Mapping[str, str], clients: Clients, module: str = "handler"
) -> ModuleType:
    """A module of `pipeline/lambdas/<folder>`, the handler's or another, in a world of its own.

    Raises:
        OSError, ImportError: there is none, or it cannot be loaded alone.
    """
    place = root / "pipeline" / "lambdas" / folder
    if not (place / "handler.py").is_file():
        raise FileNotFoundError(f"no handler in {place}")
    # A package of its own name, so that neither another plan nor the tests' import of it is touched.
    name = f"_plan_{folder}"
    package = ModuleType(name)
    package.__path__ = [str(place)]
    sys.modules[name] = package
    try:
        loaded = importlib.import_module(f"{name}.{module}")
        modules = [each for key, each in sys.modules.items() if key.startswith(f"{name}.")]
    finally:
        for key in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[key]
    world = {
        "client": lambda service: Reading(_client(clients, service)),
        "log": lambda *_, **__: None,
        "os": SimpleNamespace(environ=dict(environment)),
    }
    for each in modules:
        each.__dict__.update({key: value for key, value in world.items() if key in each.__dict__})
    return loaded


class Reading:
    """A boto3 client that answers questions; a call that would change something does nothing."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name.startswith(READS):
            found = getattr(self._client, name)
            return partial(_allowed, name, found) if name.startswith(CALLS) else found
        nothing: Callable[..., dict[str, Any]] = lambda **_: {}  # noqa: E731
        return nothing


def _allowed(name: str, call: Callable[..., Any], **request: Any) -> Any:
    """A call's answer; a refusal is ours, not the function's.

    Its own role may look where ours may not: what it makes of a refusal here would be another answer there.

    Raises:
        PermissionError: we may not ask this.
    """
    from botocore.exceptions import ClientError

    try:
        return call(**request)
    except ClientError as error:
        if code(error) in REFUSED:
            asked = " ".join(filter(None, (name, request.get("Key") or request.get("Bucket"))))
            raise PermissionError(f"{asked}: not allowed with these credentials") from error
        raise


def _client(clients: Clients, service: str) -> Any:
    name = service.replace("-", "_")
    return getattr(clients, SPELT.get(name, name))
