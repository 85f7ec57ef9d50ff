"""Which image URIs are AWS's own, and the folder that stands in for those of algorithms that are carried.

Whose account an algorithm's registry is in each region, the SageMaker SDK's data files say; they are read,
not imported: that would take seconds. An image's folder is a copy of the algorithm's folder here, known by
its content, so that what is deployed goes on as it is when the folder changes.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline import algorithms
from pipeline.local import context

_HERE = Path(__file__).parent
_URI = re.compile(
    r"^(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[a-z0-9.-]+/"
    r"(?P<repository>[a-z0-9._/-]+?)(?:@sha256:(?P<digest>[0-9a-f]{64})|:(?P<tag>[\w.-]+))?$"
)
VERSION_FILE = "VERSION"


class NotCarried(Exception):
    """An image of AWS's that has no counterpart here; the message lists those that have one."""


def is_aws(uri: str) -> bool:
    """Whether the image lies in one of the registries that AWS keeps for SageMaker."""
    found = _URI.match(uri)
    return found is not None and found["account"] in _registries()


def repository_arn(uri: str) -> str:
    """ARN of the image's repository, which a role must be allowed to pull from."""
    found = _URI.match(uri)
    assert found is not None, uri
    partition = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    at = next((value for key, value in partition.items() if found["region"].startswith(key)), "aws")
    return f"arn:{at}:ecr:{found['region']}:{found['account']}:repository/{found['repository']}"


def resolved(uri: str) -> str:
    """The image by digest, its folder made.

    Raises:
        NotCarried: no such algorithm, version or registry.
    """
    found = _URI.match(uri)
    assert found is not None, uri
    if found["digest"]:
        folder_of(uri)
        return uri
    known = algorithms.of_image(uri)
    if known is None:
        raise NotCarried(_refusal(uri, found["account"]))
    if known[0] not in _registries()[found["account"]].get(found["region"], ()):
        raise NotCarried(f"{uri}: {known[0]} lies in another registry of AWS in {found['region']}")
    return f"{uri.rpartition(':')[0]}@sha256:{_make(*known)}"


def folder_of(uri: str) -> Path:
    """The folder that the image's programs run out of. Raises NotCarried."""
    found = _URI.match(uri)
    assert found is not None, uri
    digest = found["digest"] or resolved(uri).rpartition(":")[2]
    folder = place() / digest
    if not folder.is_dir():
        raise NotCarried(
            f"{uri} is not known here; name the algorithm by its tag. Carried: {algorithms.listed()}"
        )
    return folder


def place() -> Path:
    """Where the folders of these images lie, one a digest."""
    return context.state_dir() / "builtin"


def _refusal(uri: str, account: str) -> str:
    names = sorted({name for by_region in _registries()[account].values() for name in by_region})
    of = f" (a registry of {', '.join(names[:4])}{', ...' if len(names) > 4 else ''})"
    return (
        f"the local target does not offer the image {uri}{of}: nothing is pulled from AWS's registries. "
        f"Built-in algorithms that it carries as images of its own: {algorithms.listed()}. Any other trains "
        "in a container of your own."
    )


@functools.cache
def _registries() -> dict[str, dict[str, set[str]]]:
    """AWS's accounts: account -> region -> names of the SDK's data files that give it."""
    found: dict[str, dict[str, set[str]]] = {}
    sdk = importlib.util.find_spec("sagemaker")
    folder = Path(sdk.origin).parent / "image_uri_config" if sdk and sdk.origin else _HERE / "none"
    for file in sorted(folder.glob("*.json")):
        for registries in _tables(json.loads(file.read_text(encoding="utf-8"))):
            for region, account in registries.items():
                found.setdefault(str(account), {}).setdefault(region, set()).add(file.stem)
    return found


def _tables(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if isinstance(value.get("registries"), dict):
            yield value["registries"]
        for child in value.values():
            yield from _tables(child)


def _make(name: str, version: str) -> str:
    """Have the folder of an algorithm's version, and return the digest of its content."""
    content = _content(name, version)
    total = hashlib.sha256()
    for relative, (data, mode) in sorted(content.items()):
        total.update(f"{relative}\0{mode:o}\0{len(data)}\0".encode() + data)
    digest = total.hexdigest()
    folder = place() / digest
    if not folder.is_dir():
        place().mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix="making-", dir=place()))
        for relative, (data, mode) in content.items():
            target = making / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            target.chmod(mode)
        making.chmod(0o755)
        # Somebody else may have made the very same one: either is right.
        with suppress(OSError):
            making.rename(folder)
        shutil.rmtree(making, ignore_errors=True)
    return digest


def _content(name: str, version: str) -> dict[str, tuple[bytes, int]]:
    """relative path -> (bytes, mode): the algorithm's folder, its facts, and which version it stands for."""
    source = _HERE / name
    found = {
        path.relative_to(source).as_posix(): (path.read_bytes(), 0o755 if "." not in path.name else 0o644)
        for path in sorted(source.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    facts = Path(algorithms.__file__)
    for path in (facts, facts.with_suffix(".toml")):
        found[path.name] = (path.read_bytes(), 0o644)
    found[VERSION_FILE] = (version.encode(), 0o644)
    return found
