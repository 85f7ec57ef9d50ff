"""Seam: MiniStack's ECR. A container folder is known by its tag; a missing image is an error as on AWS."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from ministack import app

from pipeline.local import ecr
from pipeline.local.adapter.registry import Response

_ASKING = frozenset({"DescribeImages", "BatchGetImage"})


def install() -> None:
    """Put our handler before MiniStack's."""
    inner = app.SERVICE_HANDLERS["ecr"]

    async def handle(method: str, path: str, headers: dict, body: bytes, query_params: dict) -> Response:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if operation in _ASKING:
            request = _parsed(body)
            repository, wanted = request.get("repositoryName", ""), request.get("imageIds") or []
            for image in wanted:
                if image.get("imageTag"):
                    # Hashes and copies files, so off the event loop; the request's account goes along.
                    await asyncio.to_thread(ecr.make_known, repository, image["imageTag"])
            if operation == "DescribeImages":
                refused = _missing(repository, wanted)
                if refused:
                    return refused
        answer: Response = await inner(method, path, headers, body, query_params)
        return answer

    app.SERVICE_HANDLERS["ecr"] = handle


def _missing(repository: str, wanted: list[dict[str, str]]) -> Response | None:
    from ministack.services import ecr as service

    if repository not in service._repositories:
        return None  # MiniStack says so
    message = ecr.missing_image(repository, wanted)
    if message is None:
        return None
    code = "ImageNotFoundException"
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code}
    return 400, headers, json.dumps({"__type": code, "message": message}).encode()


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}
