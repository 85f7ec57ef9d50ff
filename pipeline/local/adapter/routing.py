"""Seam: which service a request is for. SageMaker's runtime signs as SageMaker; its path tells them apart."""

from __future__ import annotations

from typing import Any

from ministack import app

RUNTIME = "sagemaker-runtime"
_RUNTIME_PATH = "/endpoints/"


def install() -> None:
    """Tell the runtime from SageMaker, and leave alone what a model answers."""
    detect = app.detect_service

    def detected(method: str, path: str, headers: dict, query_params: Any) -> str:
        service: str = detect(method, path, headers, query_params)
        return RUNTIME if service == "sagemaker" and path.startswith(_RUNTIME_PATH) else service

    app.detect_service = detected
    for name in ("fix_success_content_type", "fix_error_content_type"):
        setattr(app, name, _not_for_the_runtime(getattr(app, name)))


def _not_for_the_runtime(fix: Any) -> Any:
    """MiniStack sets the content type by the service's protocol; a model's answer is in the model's own."""

    def fixed(service: str, status: int, headers: dict) -> None:
        if service != RUNTIME:
            fix(service, status, headers)

    return fixed
