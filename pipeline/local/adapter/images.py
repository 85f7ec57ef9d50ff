"""Seam: MiniStack's ECR. Its records are kept; what only pretended there is real here, or refused.

MiniStack answers docker's protocol out of memory, knows no layers, hands out one token for all, and takes
layers by its API without keeping them. Here docker talks to a real registry (pipeline.local.registry).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ministack import app
from ministack.core.responses import get_account_id, get_region
from ministack.core.router import extract_access_key_id

from pipeline.local import context, ecr
from pipeline.local.adapter.registry import Response
from pipeline.local.registry.backend import Backend, CannotServe
from pipeline.local.registry.forward import Broken
from pipeline.local.registry.front import Front
from pipeline.local.registry.records import EcrRecords
from pipeline.local.registry.tokens import LIFETIME_SECONDS, USER, Scope, Tokens
from pipeline.local.runner import choice

_ASKING = frozenset({"DescribeImages", "BatchGetImage", "DescribeImageScanFindings"})
_REFUSED = {
    "InitiateLayerUpload": "layers come by docker push",
    "UploadLayerPart": "layers come by docker push",
    "CompleteLayerUpload": "layers come by docker push",
    "StartImageScan": "there is no scanner",
}
# Docker retries with the same token for as long as a push takes.
_URL_SECONDS = 3600


class Images:
    """The registry of this server: ECR's API, docker's protocol, and the process behind them."""

    def __init__(self) -> None:
        paths = context.paths()
        self.tokens = Tokens(paths.registry_key)
        self.backend = Backend(paths.registry, paths.processes, self.tokens.key().hex())
        self.changed: Callable[[], None] = lambda: None
        self.front = Front(self.backend, self.tokens, EcrRecords(lambda: self.changed()))

    def install(self) -> None:
        """Put our handler before MiniStack's."""
        inner = app.SERVICE_HANDLERS["ecr"]

        async def handle(method: str, path: str, headers: dict, body: bytes, query_params: dict) -> Response:
            operation = headers.get("x-amz-target", "").rpartition(".")[2]
            request = _parsed(body)
            try:
                own = await self._own(operation, request, extract_access_key_id(headers, query_params))
            except (CannotServe, Broken) as error:
                own = _error("ServerException", f"the registry's process cannot be reached: {error}", 500)
            if own is not None:
                return own
            answer: Response = await inner(method, path, headers, body, query_params)
            if operation == "PutImage" and answer[0] == 200:
                manifest = str(request.get("imageManifest", "")).encode()
                await asyncio.to_thread(ecr.came_by_api, str(request.get("repositoryName")), manifest)
            return _with_sizes(answer) if operation == "DescribeImages" else answer

        app.SERVICE_HANDLERS["ecr"] = handle

    async def _own(self, operation: str, request: dict[str, Any], caller: str) -> Response | None:
        """Our answer; None where MiniStack's is right."""
        if operation in _REFUSED:
            why = f"the local target does not offer {operation}: {_REFUSED[operation]}"
            return _error("InvalidParameterException", why)
        if operation == "GetAuthorizationToken":
            return self._token(caller)
        repository = str(request.get("repositoryName", ""))
        if not _exists(repository):
            return None  # MiniStack says so
        if operation in _ASKING:
            return await self._asked(operation, repository, request)
        if operation == "BatchCheckLayerAvailability":
            return await self._layers(repository, request)
        if operation == "GetDownloadUrlForLayer":
            return await self._url(repository, request)
        if operation == "PutImage":
            return await self._put(repository, request)
        return None

    async def _asked(self, operation: str, repository: str, request: dict[str, Any]) -> Response | None:
        wanted = request.get("imageIds") or [request.get("imageId") or {}]
        # Asks the engine, hashes and copies files, so off the event loop; the request's account goes along.
        building = await asyncio.to_thread(choice.builds)
        for image in wanted:
            if image.get("imageTag"):
                make = ecr.step_aside if building else ecr.make_known
                await asyncio.to_thread(make, repository, image["imageTag"])
        if operation == "BatchGetImage":
            return None
        message = ecr.missing_image(repository, [image for image in wanted if image])
        if message is not None:
            return _error("ImageNotFoundException", message)
        if operation == "DescribeImageScanFindings":
            named = wanted[0].get("imageDigest") or wanted[0].get("imageTag")
            return _error("ScanNotFoundException", f"Image scan does not exist for the image {named}")
        return None

    def _token(self, caller: str) -> Response:
        """What docker does with it is weighed as its caller's doing."""
        password, expires = self.tokens.issue(replace(_scope(), caller=caller), LIFETIME_SECONDS)
        token = base64.b64encode(f"{USER}:{password}".encode()).decode()
        # On AWS the proxy endpoint is the registry's own host; here it is this endpoint.
        found = {
            "authorizationToken": token,
            "expiresAt": expires,
            "proxyEndpoint": context.endpoint_url(),
        }
        return _answer({"authorizationData": [found]})

    async def _layers(self, repository: str, request: dict[str, Any]) -> Response:
        layers = []
        for digest in request.get("layerDigests") or []:
            size = ecr.layer_size(repository, digest)
            if size is None:
                size = await self.front.blob_size(_scope(), repository, digest)
            there = {"layerAvailability": "AVAILABLE", "layerSize": size}
            layers.append({"layerDigest": digest, **(there if size is not None else _UNAVAILABLE)})
        return _answer({"layers": layers, "failures": []})

    async def _url(self, repository: str, request: dict[str, Any]) -> Response:
        digest = str(request.get("layerDigest", ""))
        if ecr.layer_size(repository, digest) is None:
            message = (
                f"The layer with digest '{digest}' does not exist within the repository with name "
                f"'{repository}' in the registry with id '{get_account_id()}'"
            )
            return _error("LayersNotFoundException", message)
        token, _ = self.tokens.issue(_scope(), _URL_SECONDS)
        url = f"{context.endpoint_url()}/v2/{repository}/blobs/{digest}?token={token}"
        return _answer({"downloadUrl": url, "layerDigest": digest})

    async def _put(self, repository: str, request: dict[str, Any]) -> Response | None:
        """A manifest through the API: its layers have to be there. MiniStack keeps the record."""
        manifest = str(request.get("imageManifest", "")).encode()
        digest, wanted = "sha256:" + hashlib.sha256(manifest).hexdigest(), request.get("imageDigest")
        if wanted and wanted != digest:
            message = f"The image digest '{wanted}' does not match the manifest's, '{digest}'"
            return _error("ImageDigestDoesNotMatchException", message)
        known = ecr.known_manifest(repository, manifest)
        if known is not None and request.get("imageTag") in known.get("imageTags", []):
            message = f"Image with digest '{digest}' and tag '{request['imageTag']}' already exists in the "
            message += f"repository with name '{repository}' in registry with id '{get_account_id()}'"
            return _error("ImageAlreadyExistsException", message)
        media_type = request.get("imageManifestMediaType") or _media_type(manifest)
        if known is None and not await self.front.put_manifest(_scope(), repository, manifest, media_type):
            return _error("LayersNotFoundException", "a layer of the manifest is not in the repository")
        return None


_UNAVAILABLE = {"layerAvailability": "UNAVAILABLE", "layerSize": 0}


def _scope() -> Scope:
    return Scope(get_account_id(), get_region())


def _exists(repository: str) -> bool:
    from ministack.services import ecr as service

    return repository in service._repositories


def _with_sizes(answer: Response) -> Response:
    """MiniStack gives the manifest's size; ECR gives the image's, compressed."""
    status, headers, body = answer
    if status != 200:
        return answer
    found = json.loads(body)
    for image in found.get("imageDetails", []):
        size = ecr.image_size(image["repositoryName"], image["imageDigest"])
        image["imageSizeInBytes"] = size or image["imageSizeInBytes"]
    return status, headers, json.dumps(found).encode()


def _media_type(manifest: bytes) -> str:
    return str(_parsed(manifest).get("mediaType", "application/vnd.docker.distribution.manifest.v2+json"))


def _answer(content: dict[str, Any]) -> Response:
    return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(content).encode()


def _error(code: str, message: str, status: int = 400) -> Response:
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code}
    return status, headers, json.dumps({"__type": code, "message": message}).encode()


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}
