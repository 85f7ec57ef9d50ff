"""The content address of an image: the tag that says from what it was, or will be, built.

`src-<16 hex>` is the source: Dockerfile, lock, programs, shared folders (pipeline.image.context). Build
arguments that differ from the Dockerfile's own defaults are `-<8 hex>` behind it: another base image is
another image. Nothing of it needs an engine or the network (docs/decisions/0009).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from pipeline.image.fingerprint import source_tag

BASE_VARIABLE = "PIPELINE_BASE_IMAGE"
BASE_ARGUMENT = "BASE_IMAGE"


def build_arguments(
    folder: Path, base_image: str | None = None, more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The build arguments that override the Dockerfile's: its base image, where one is given, and `more`.

    Args:
        folder: the container folder; a Dockerfile that declares no `ARG BASE_IMAGE` gets none.
        base_image: of the settings; $PIPELINE_BASE_IMAGE goes before it.
        more: `[build.arguments]` of the settings.
    """
    chosen = os.environ.get(BASE_VARIABLE) or base_image
    base = {BASE_ARGUMENT: chosen} if chosen and BASE_ARGUMENT in declared(folder) else {}
    return {**base, **(more or {})}


def image_tag(folder: Path, arguments: Mapping[str, str]) -> str:
    """The tag of the image that `folder` and these build arguments make."""
    source = source_tag(folder)
    if not arguments:
        return source
    canonical = json.dumps(dict(arguments), sort_keys=True, separators=(",", ":"))
    return f"{source}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"


def declared(folder: Path) -> dict[str, str]:
    """The Dockerfile's build arguments and their defaults."""
    found: dict[str, str] = {}
    for line in (folder / "Dockerfile").read_text(encoding="utf-8").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.upper() == "ARG":
            name, _, default = rest.strip().partition("=")
            found[name] = default.strip("\"'")
    return found


def base_of(folder: Path, arguments: Mapping[str, str]) -> str:
    """The base image's reference; empty when the Dockerfile does not take it as an argument."""
    return {**declared(folder), **arguments}.get(BASE_ARGUMENT, "")
