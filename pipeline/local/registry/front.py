"""ECR's registry protocol: who may, into which repository, under which tag; the content goes to the backend.

The backend keeps content by digest only, under `<account>/<region>/<repository>`. Which tag means which
digest is ECR's records' business, as on AWS: the API and docker never disagree. Repositories are not made
by pushing; an immutable tag stays where it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

from pipeline.local.registry import forward
from pipeline.local.registry.backend import Backend, CannotServe
from pipeline.local.registry.small import Problem, body_of, respond
from pipeline.local.registry.tokens import Refused, Scope, Tokens

logger = logging.getLogger("pipeline.local.registry")

_PATH = re.compile(
    r"^/v2/(?P<name>[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
    r"/(?P<kind>manifests|blobs|tags)/(?P<rest>.+)$"
)
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
_MAX_MANIFEST = 4 * 1024 * 1024  # ECR's limit

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Records(Protocol):
    """ECR's own knowledge, as the front needs it."""

    def has_repository(self, scope: Scope, repository: str) -> bool:
        """Whether the repository exists."""

    def digest_of(self, scope: Scope, repository: str, tag: str) -> str | None:
        """The digest that a tag means."""

    def tags(self, scope: Scope, repository: str) -> list[str]:
        """All tags, sorted."""

    def held_by_another(self, scope: Scope, repository: str, tag: str, digest: str) -> bool:
        """Whether the tag is immutable and means another digest."""

    def blob(self, scope: Scope, repository: str, digest: str) -> bytes | None:
        """A layer that the backend does not have, because nobody pushed the image. Any thread."""

    def wants_layer(self, manifest: bytes) -> str:
        """Digest of the layer that `prepare` has to be given; empty for none."""

    def prepare(self, repository: str, digest: str, tag: str | None, manifest: bytes, layer: bytes) -> None:
        """Before `add`: what takes time. Any thread."""

    def add(
        self, scope: Scope, repository: str, digest: str, tag: str | None, manifest: bytes, media_type: str
    ) -> None:
        """An image whose content is in the backend."""

    def denial(self, scope: Scope, repository: str, action: str) -> str:
        """IAM's words where the token's owner may not do that in the repository; empty where it may."""


def is_registry_path(path: str) -> bool:
    """Whether a request is docker's: no other service has such a path."""
    return path in ("/v2", "/v2/") or _PATH.match(path) is not None


class Front:
    """The ASGI application for registry paths."""

    def __init__(self, backend: Backend, tokens: Tokens, records: Records) -> None:
        self._backend, self._tokens, self._records = backend, tokens, records

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except Problem as problem:
            await _tell(send, problem.status, problem.code, problem.message)
        except Refused as refused:
            expired = "expired" in str(refused)
            await _tell(send, 403 if expired else 401, "DENIED" if expired else "UNAUTHORIZED", str(refused))
        except (CannotServe, forward.Broken) as error:
            # Docker repeats what failed so; by then the backend has been started again.
            logger.warning("%s %s: %s", scope["method"], scope["path"], error)
            await _tell(send, 503, "UNAVAILABLE", f"the registry's process cannot be reached: {error}")

    async def _answer(self, request: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in request["headers"]}
        query = {key: values[0] for key, values in parse_qs(request["query_string"].decode()).items()}
        if "authorization" in headers:
            scope = self._tokens.basic(headers["authorization"])
        elif "token" in query:
            scope = self._tokens.check(query.pop("token"))
        else:
            raise Refused("Not Authorized")
        path = request["path"]
        if path in ("/v2", "/v2/"):
            await respond(send, 200, {"content-type": "application/json"}, b"{}")
            return
        found = _PATH.match(path)
        if found is None:
            raise Problem(404, "NAME_UNKNOWN", f"there is nothing at {path}")
        name, kind, rest = found["name"], found["kind"], found["rest"]
        if not self._records.has_repository(scope, name):
            message = (
                f"The repository with name '{name}' does not exist in the registry with id '{scope.account}'"
            )
            raise Problem(404, "NAME_UNKNOWN", message)
        call = _Call(request["method"], query, headers, receive, send)
        denied = self._records.denial(scope, name, _action(call.method, kind, rest))
        if denied:
            raise Problem(403, "DENIED", denied)
        if kind == "manifests":
            await self._manifest(call, scope, name, rest)
        elif kind == "tags":
            await self._tags(call, scope, name)
        else:
            await self._blobs(call, scope, name, rest)

    async def _tags(self, call: _Call, scope: Scope, name: str) -> None:
        body = json.dumps({"name": name, "tags": self._records.tags(scope, name)}).encode()
        await respond(call.send, 200, {"content-type": "application/json"}, body)

    async def _blobs(self, call: _Call, scope: Scope, name: str, rest: str) -> None:
        if call.method == "DELETE" and not rest.startswith("uploads/"):
            raise Problem(405, "UNSUPPORTED", "ECR deletes layers by itself; use BatchDeleteImage")
        if call.method in ("GET", "HEAD") and _DIGEST.match(rest):
            own = await asyncio.to_thread(self._records.blob, scope, name, rest)
            if own is not None:
                headers = {"content-type": "application/octet-stream", "docker-content-digest": rest}
                length = {"content-length": str(len(own))}
                await respond(call.send, 200, {**length, **headers}, own if call.method == "GET" else b"")
                return
        query = dict(call.query)
        if "from" in query:
            query["from"] = f"{_prefix(scope)}{query['from']}"
        await self._pass_on(call, scope, f"{name}/blobs/{rest}", query, call.receive)

    async def _manifest(self, call: _Call, scope: Scope, name: str, reference: str) -> None:
        tag = None if _DIGEST.match(reference) else reference
        if call.method == "PUT":
            await self._put_manifest(call, scope, name, tag, reference)
            return
        if call.method not in ("GET", "HEAD"):
            raise Problem(405, "UNSUPPORTED", "use BatchDeleteImage")
        digest = self._records.digest_of(scope, name, tag) if tag else reference
        if digest is None:
            raise Problem(404, "MANIFEST_UNKNOWN", "Requested image not found")
        await self._pass_on(call, scope, f"{name}/manifests/{digest}", {}, call.receive)

    async def _put_manifest(
        self, call: _Call, scope: Scope, name: str, tag: str | None, reference: str
    ) -> None:
        content = await body_of(call.receive, _MAX_MANIFEST)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if tag is None and reference != digest:
            raise Problem(400, "DIGEST_INVALID", "the manifest is not what the digest says")

        def refuse_if_held() -> None:
            if tag and self._records.held_by_another(scope, name, tag, digest):
                message = (
                    f"The image tag '{tag}' already exists in the '{name}' repository and cannot be "
                    "overwritten because the repository is immutable."
                )
                raise Problem(400, "TAG_INVALID", message)

        refuse_if_held()
        answer = await forward.whole(
            await self._port(), "PUT", self._path(scope, f"{name}/manifests/{digest}"), call.headers, content
        )
        if answer.status != 201:
            await respond(call.send, answer.status, answer.kept(), answer.body)
            return
        wanted = self._records.wants_layer(content)
        layer = b""
        if wanted:
            path = self._path(scope, f"{name}/blobs/{wanted}")
            layer = (await forward.whole(await self._port(), "GET", path, {}, b"")).body
        await asyncio.to_thread(self._records.prepare, name, digest, tag, content, layer)
        # The backend has it now; another push may have taken the tag meanwhile. From here to the record
        # nothing awaits, so only one of two gets it.
        refuse_if_held()
        media_type = call.headers.get("content-type", "")
        self._records.add(scope, name, digest, tag, content, media_type)
        headers = {"location": f"/v2/{name}/manifests/{digest}", "docker-content-digest": digest}
        await respond(call.send, 201, headers)

    async def blob_size(self, scope: Scope, name: str, digest: str) -> int | None:
        """Bytes of a blob in a repository; None when it is not there. For the ECR API."""
        answer = await forward.whole(
            await self._port(), "HEAD", self._path(scope, f"{name}/blobs/{digest}"), {}, b""
        )
        return int(answer.headers.get("content-length", "0")) if answer.status == 200 else None

    async def put_manifest(self, scope: Scope, name: str, manifest: bytes, media_type: str) -> bool:
        """Keep a manifest that came through the ECR API; False when a layer of it is not there."""
        digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
        path = self._path(scope, f"{name}/manifests/{digest}")
        answer = await forward.whole(await self._port(), "PUT", path, {"content-type": media_type}, manifest)
        return answer.status == 201

    async def _pass_on(
        self, call: _Call, scope: Scope, path: str, query: dict[str, str], receive: Receive
    ) -> None:
        target = self._path(scope, path) + (f"?{urlencode(query)}" if query else "")

        def back(location: str) -> str:
            parts = urlsplit(location)
            return parts._replace(
                scheme="", netloc="", path=parts.path.replace(f"/v2/{_prefix(scope)}", "/v2/", 1)
            ).geturl()

        await forward.stream(await self._port(), call.method, target, call.headers, receive, call.send, back)

    def _path(self, scope: Scope, path: str) -> str:
        return f"/v2/{_prefix(scope)}{path}"

    async def _port(self) -> int:
        return await asyncio.to_thread(self._backend.port)


class _Call:
    """One request, taken apart."""

    def __init__(
        self, method: str, query: dict[str, str], headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        self.method, self.query, self.headers = method, query, headers
        self.receive, self.send = receive, send


def _action(method: str, kind: str, rest: str) -> str:
    """The IAM action behind docker's request.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
    """
    if kind == "tags":
        return "ListImages"
    if kind == "manifests":
        return "PutImage" if method == "PUT" else "BatchGetImage"
    if method == "POST":
        return "InitiateLayerUpload"
    if rest.startswith("uploads/"):
        return "CompleteLayerUpload" if method == "PUT" else "UploadLayerPart"
    return "BatchCheckLayerAvailability" if method == "HEAD" else "GetDownloadUrlForLayer"


def _prefix(scope: Scope) -> str:
    return f"{scope.account}/{scope.region}/"


async def _tell(send: Send, status: int, code: str, message: str) -> None:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    headers = {"content-type": "application/json"}
    if status == 401:
        headers["www-authenticate"] = 'Basic realm="local ECR",service="ecr.amazonaws.com"'
    await respond(send, status, headers, body)
