"""Which properties of a resource type can only be set when it is made, by AWS's own schemas.

The schemas come with cfn-lint; its data files are read without importing it (an import costs a second).
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path

from pipeline.plan.model import Replaces


def replaces(resource_type: str, path: tuple[str, ...], region: str = "us-east-1") -> Replaces:
    """Whether changing the property at `path` (names, list indexes left out) makes a new resource."""
    always, sometimes = _create_only(resource_type, region)
    if any(_covers(only, path) for only in always):
        return "always"
    return "conditionally" if any(_covers(only, path) for only in sometimes) else "never"


def _covers(only: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """One leads to the other: a change inside, or a change of the whole that holds it."""
    shared = min(len(only), len(path))
    return only[:shared] == path[:shared]


@cache
def _create_only(
    resource_type: str, region: str
) -> tuple[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]]:
    schema = _schema(resource_type, region)
    return (
        frozenset(map(_pointer, schema.get("createOnlyProperties") or ())),
        frozenset(map(_pointer, schema.get("conditionalCreateOnlyProperties") or ())),
    )


def _pointer(pointer: str) -> tuple[str, ...]:
    """`/properties/VpcConfig/Subnets/*` -> (VpcConfig, Subnets)."""
    parts = [part for part in pointer.split("/") if part and part not in {"*", "properties", "items"}]
    return tuple(parts)


def _schema(resource_type: str, region: str) -> dict[str, list[str]]:
    folder = _folder()
    if folder is None:
        return {}
    provider = folder / "providers" / f"{region}.json"
    if not provider.is_file():
        provider = folder / "providers" / "us-east-1.json"
    name = _types(provider).get(resource_type)
    file = folder / "resources" / f"{name}.json"
    if name is None or not file.is_file():
        return {}
    return dict(json.loads(file.read_text()))


@cache
def _types(provider: Path) -> dict[str, str]:
    return dict(json.loads(provider.read_text()))


@cache
def _folder() -> Path | None:
    found = importlib.util.find_spec("cfnlint")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "data" / "schemas"
