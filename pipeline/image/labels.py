"""What an image says of itself: OCI's annotations, the commit, the source's fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pipeline import git
from pipeline.image.address import base_of
from pipeline.image.fingerprint import tree_hash

OCI = "org.opencontainers.image"
FINGERPRINT = "ml-pipeline.fingerprint"
SOURCE = "ml-pipeline.source-sha256"


def labels(root: Path, folder: Path, tag: str, arguments: Mapping[str, str]) -> dict[str, str]:
    """The labels of the image that `folder` makes. No time among them: the same source, the same labels."""
    found = {
        f"{OCI}.title": folder.name,
        f"{OCI}.version": tag,
        f"{OCI}.revision": git.last_change(root, [str(folder.relative_to(root))]),
        f"{OCI}.source": repository_url(git.remote(root)),
        f"{OCI}.base.name": base_of(folder, arguments),
        FINGERPRINT: tag,
        SOURCE: tree_hash(folder),
    }
    return {name: value for name, value in found.items() if value}


def repository_url(remote: str) -> str:
    """A git remote as a page's address, without user and password: an image is read by many."""
    if remote.startswith("git@") and ":" in remote:
        host, _, path = remote.removeprefix("git@").partition(":")
        remote = f"https://{host}/{path}"
    parts = urlsplit(remote)
    if parts.scheme not in ("http", "https", "ssh") or not parts.hostname:
        return ""
    port = f":{parts.port}" if parts.port and parts.scheme != "ssh" else ""
    scheme = "http" if parts.scheme == "http" else "https"
    return f"{scheme}://{parts.hostname}{port}{parts.path.removesuffix('.git')}"
