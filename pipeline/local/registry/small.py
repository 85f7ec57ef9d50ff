"""A small registry for machines without one: the OCI distribution protocol over files of one folder.

    python -m pipeline.local.registry.small --folder F --port P

Listens on 127.0.0.1 and asks nobody who he is: the front does. Content lies under `blobs/<sha256>`, once;
`repositories/<name>/{blobs,manifests}/<sha256>` say who has it. A blob is renamed into its place when its
digest is right, so that an upload that breaks leaves nothing but its own file under `uploads/`.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import secrets
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

_NAME = r"(?P<name>[a-z0-9._/-]+?)"
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
_UPLOADS = re.compile(rf"^/v2/{_NAME}/blobs/uploads/(?P<session>[0-9a-f]*)$")
_BLOB = re.compile(rf"^/v2/{_NAME}/blobs/(?P<digest>sha256:[0-9a-f]{{64}})$")
_MANIFEST = re.compile(rf"^/v2/{_NAME}/manifests/(?P<digest>sha256:[0-9a-f]{{64}})$")
_MAX_MANIFEST = 4 * 1024 * 1024
_CHUNK = 1024 * 1024

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Problem(Exception):
    """An answer other than success, in the protocol's words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Registry:
    """The ASGI application over one folder."""

    def __init__(self, folder: Path) -> None:
        self._blobs, self._uploads = folder / "blobs", folder / "uploads"
        self._repositories = folder / "repositories"
        for each in (self._blobs, self._uploads, self._repositories):
            each.mkdir(parents=True, exist_ok=True)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._answer(scope, receive, send)
        except Problem as problem:
            error = {"code": problem.code, "message": problem.message}
            body = json.dumps({"errors": [error]}).encode()
            await respond(send, problem.status, {"content-type": "application/json"}, body)
        except OSError as error:
            failure = {"errors": [{"code": "UNKNOWN", "message": str(error.strerror or error)}]}
            await respond(send, 500, {"content-type": "application/json"}, json.dumps(failure).encode())

    async def _answer(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        query = {key: values[0] for key, values in parse_qs(scope["query_string"].decode()).items()}
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if path in ("/v2", "/v2/"):
            await respond(send, 200, {"content-type": "application/json"}, b"{}")
        elif found := _UPLOADS.match(path):
            await self._upload(method, found["name"], found["session"], query, receive, send)
        elif found := _BLOB.match(path):
            await self._blob(method, found["name"], found["digest"], send)
        elif found := _MANIFEST.match(path):
            await self._manifest(method, found["name"], found["digest"], headers, receive, send)
        else:
            raise Problem(404, "NAME_UNKNOWN", f"there is nothing at {path}")

    # -- uploads ---------------------------------------------------------------------------------------

    async def _upload(
        self, method: str, name: str, session: str, query: dict[str, str], receive: Receive, send: Send
    ) -> None:
        if method == "POST" and not session:
            mount = query.get("mount", "")
            if _DIGEST.match(mount) and self._has(query.get("from", ""), "blobs", mount):
                self._link(name, "blobs", mount)
                await self._created(send, name, "blobs", mount)
                return
            session = secrets.token_hex(16)
            (self._uploads / session).touch()
            if "digest" not in query:
                await self._accepted(send, 202, name, session)
                return
            method = "PUT"
        file = self._uploads / session
        if not session or not file.is_file():
            raise Problem(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
        if method == "DELETE":
            file.unlink()
            await respond(send, 204, {})
        elif method == "GET":
            await self._accepted(send, 204, name, session)
        elif method == "PATCH":
            await _store(receive, file)
            await self._accepted(send, 202, name, session)
        elif method == "PUT":
            await _store(receive, file)
            digest = query.get("digest", "")
            if await asyncio.to_thread(_digest_of, file) != digest:
                file.unlink()
                raise Problem(400, "DIGEST_INVALID", "the content is not what the digest says")
            file.replace(self._blobs / digest.removeprefix("sha256:"))
            self._link(name, "blobs", digest)
            await self._created(send, name, "blobs", digest)
        else:
            raise Problem(405, "UNSUPPORTED", f"{method} on an upload")

    async def _accepted(self, send: Send, status: int, name: str, session: str) -> None:
        size = (self._uploads / session).stat().st_size
        headers = {
            "location": f"/v2/{name}/blobs/uploads/{session}",
            "docker-upload-uuid": session,
            "range": f"0-{max(0, size - 1)}",
        }
        await respond(send, status, headers)

    async def _created(self, send: Send, name: str, kind: str, digest: str) -> None:
        headers = {"location": f"/v2/{name}/{kind}/{digest}", "docker-content-digest": digest}
        await respond(send, 201, headers)

    # -- content ---------------------------------------------------------------------------------------

    async def _blob(self, method: str, name: str, digest: str, send: Send) -> None:
        if not self._has(name, "blobs", digest):
            raise Problem(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}")
        if method == "DELETE":
            self._place(name, "blobs", digest).unlink()
            await respond(send, 202, {})
            return
        file = self._blobs / digest.removeprefix("sha256:")
        headers = {
            "content-length": str(file.stat().st_size),
            "content-type": "application/octet-stream",
            "docker-content-digest": digest,
        }
        await _begin(send, 200, headers)
        if method == "GET":
            with file.open("rb") as stream:
                while chunk := await asyncio.to_thread(stream.read, _CHUNK):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _manifest(
        self, method: str, name: str, digest: str, headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        place = self._place(name, "manifests", digest)
        if method == "PUT":
            content = await body_of(receive, _MAX_MANIFEST)
            if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
                raise Problem(400, "DIGEST_INVALID", "the manifest is not what the digest says")
            self._require_parts(name, content)
            temporary = self._uploads / secrets.token_hex(16)
            temporary.write_bytes(content)
            temporary.replace(self._blobs / digest.removeprefix("sha256:"))
            self._link(name, "manifests", digest, headers.get("content-type", ""))
            await self._created(send, name, "manifests", digest)
            return
        if not place.is_file():
            raise Problem(404, "MANIFEST_UNKNOWN", f"{name} has no manifest {digest}")
        if method == "DELETE":
            place.unlink()
            await respond(send, 202, {})
            return
        content = (self._blobs / digest.removeprefix("sha256:")).read_bytes()
        answer = {
            "content-type": place.read_text(),
            "content-length": str(len(content)),
            "docker-content-digest": digest,
        }
        await _begin(send, 200, answer)
        await send({"type": "http.response.body", "body": content if method == "GET" else b""})

    def _require_parts(self, name: str, content: bytes) -> None:
        try:
            manifest = json.loads(content)
            parts = [manifest["config"], *manifest["layers"]] if "layers" in manifest else []
            digests = [str(part["digest"]) for part in parts]
        except (ValueError, KeyError, TypeError):
            raise Problem(400, "MANIFEST_INVALID", "not a manifest") from None
        for digest in digests:
            if not _DIGEST.match(digest) or not self._has(name, "blobs", digest):
                raise Problem(404, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {digest}")

    def _place(self, name: str, kind: str, digest: str) -> Path:
        # A name's parts never begin with a dot (the front and ECR see to it); this is the last line.
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise Problem(400, "NAME_INVALID", name)
        return self._repositories / name / f"_{kind}" / digest.removeprefix("sha256:")

    def _has(self, name: str, kind: str, digest: str) -> bool:
        return bool(name) and self._place(name, kind, digest).is_file()

    def _link(self, name: str, kind: str, digest: str, content: str = "") -> None:
        place = self._place(name, kind, digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)


async def body_of(receive: Receive, limit: int) -> bytes:
    """A request's whole body; a Problem when it is larger than `limit` bytes or the client has gone."""
    content = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise Problem(400, "UNKNOWN", "the client has gone")
        content += event.get("body", b"")
        if len(content) > limit:
            raise Problem(413, "SIZE_INVALID", f"more than {limit} bytes")
        if not event.get("more_body"):
            return bytes(content)


async def respond(send: Send, status: int, headers: dict[str, str], body: bytes = b"") -> None:
    """A whole answer."""
    await _begin(send, status, {"content-length": str(len(body)), **headers})
    await send({"type": "http.response.body", "body": body})


async def _begin(send: Send, status: int, headers: dict[str, str]) -> None:
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    pairs.append((b"docker-distribution-api-version", b"registry/2.0"))
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def _store(receive: Receive, file: Path) -> None:
    with file.open("ab") as stream:
        while True:
            event = await receive()
            if event["type"] != "http.request":
                raise Problem(400, "UNKNOWN", "the client has gone")
            if event.get("body"):
                await asyncio.to_thread(stream.write, event["body"])
            if not event.get("more_body"):
                return


def _digest_of(file: Path) -> str:
    with file.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()


async def _serve(folder: Path, port: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = 1.0
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def stopped() -> None:
        await stop.wait()

    await serve(Registry(folder), config, shutdown_trigger=stopped)  # type: ignore[arg-type, unused-ignore]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.folder, arguments.port))
