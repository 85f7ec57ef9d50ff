"""Push a folder as an image: the registry's own protocol, so that what IAM weighs there is weighed here."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin
from urllib.request import ProxyHandler, Request, build_opener

from pipeline.local import snapshots

# The registry is on this machine, whatever proxy the build's commands are told of.
_OPENER = build_opener(ProxyHandler({}))


class Refused(Exception):
    """The registry said no; the message is what docker prints of it."""


def push(endpoint: str, auth: str, repository: str, tag: str, folder: Path) -> tuple[str, int]:
    """(digest, bytes of the manifest) of the image that the folder's source became.

    Args:
        endpoint: where the registry answers, such as http://127.0.0.1:4566.
        auth: what docker login left for it.
    """
    manifest, layer, config = snapshots.manifest_of(folder)
    base = f"{endpoint}/v2/{repository}"
    for content in (layer, config):
        _blob(base, auth, content)
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    _ask("PUT", f"{base}/manifests/{tag}", auth, manifest, snapshots.MANIFEST_TYPE)
    return digest, len(manifest)


def login(endpoint: str, auth: str) -> None:
    """Raises Refused for a token that is none."""
    _ask("GET", f"{endpoint}/v2/", auth)


def _blob(base: str, auth: str, content: bytes) -> None:
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    place = _ask("POST", f"{base}/blobs/uploads/", auth, b"")
    mark = "&" if "?" in place else "?"
    _ask("PUT", f"{urljoin(base, place)}{mark}digest={digest}", auth, content, "application/octet-stream")


def _ask(method: str, url: str, auth: str, body: bytes | None = None, kind: str = "") -> str:
    """The answer's Location."""
    headers = {"Authorization": f"Basic {auth}", **({"Content-Type": kind} if kind else {})}
    try:
        with _OPENER.open(Request(url, data=body, headers=headers, method=method), timeout=60) as answer:
            return str(answer.headers.get("Location") or "")
    except HTTPError as error:
        raise Refused(_said(error)) from None
    except URLError as error:
        raise Refused(f"Get {url}: {error.reason}") from None


def _said(error: HTTPError) -> str:
    try:
        problem = json.loads(error.read())["errors"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        return f"received unexpected HTTP status: {error.code} {error.reason}"
    words = {"DENIED": "denied", "UNAUTHORIZED": "unauthorized", "TAG_INVALID": "tag invalid"}
    code = str(problem.get("code", ""))
    return f"{words.get(code, code.lower())}: {problem.get('message', '')}"
