"""The request's context for functions that ask for it, with the methods the inference toolkit's has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


class Context:
    """What came with one request, and what is to go with its answer.

    Args:
        model_dir: where the model lies.
        headers: the request's, names in small letters.
    """

    def __init__(self, model_dir: str, headers: Mapping[bytes, bytes]) -> None:
        self.system_properties: dict[str, Any] = {"model_dir": model_dir, "gpu_id": None}
        self.request_processor = [self]
        self.status = 200
        self.content_type: str | None = None
        self.response_headers: dict[str, str] = {}
        self._headers = headers

    @property
    def custom_attributes(self) -> str:
        """What InvokeEndpoint was given as CustomAttributes; assign to answer with some."""
        return self.get_request_header(0, CUSTOM_ATTRIBUTES) or ""

    @custom_attributes.setter
    def custom_attributes(self, value: str) -> None:
        self.response_headers[CUSTOM_ATTRIBUTES] = value

    def get_request_header(self, _index: int, key: str) -> str | None:
        value = self._headers.get(key.lower().encode("latin-1", "replace"))
        return None if value is None else value.decode("latin-1")

    def get_all_request_header(self, _index: int = 0) -> dict[str, str]:
        return {key.decode("latin-1"): value.decode("latin-1") for key, value in self._headers.items()}

    def get_request_properties(self) -> dict[str, str]:
        """Headers as `Content-Type`, `Accept`, ..."""
        return {key.title(): value for key, value in self.get_all_request_header().items()}

    def set_response_header(self, _index: int, key: str, value: str) -> None:
        self.response_headers[key] = value

    def set_response_content_type(self, _index: int, value: str) -> None:
        self.content_type = value

    def set_response_status(self, code: int = 200, _phrase: str = "", _index: int = 0) -> None:
        self.status = int(code)
