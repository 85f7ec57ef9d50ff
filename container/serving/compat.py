"""Names of the `sagemaker_inference` package that scripts import, for images that do not hold the package."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

from . import content
from .errors import RequestError
from .negotiation import media_type

PACKAGE = "sagemaker_inference"


class BaseInferenceToolkitError(Exception):
    """An error with a status for the caller."""

    def __init__(self, status_code: int, message: str, phrase: str) -> None:
        super().__init__(status_code, message, phrase)
        self.status_code, self.message, self.phrase = status_code, message, phrase


class GenericInferenceToolkitError(BaseInferenceToolkitError):
    """The same, with its parts optional."""

    def __init__(self, status_code: int, message: str | None = None, phrase: str | None = None) -> None:
        message = message or "Invalid Request"
        super().__init__(status_code, message, phrase or message)


class UnsupportedFormatError(RequestError):
    """A content type that is not read."""

    def __init__(self, content_type: str) -> None:
        super().__init__(415, f"Content type {content_type} is not supported")


class DefaultInferenceHandler:
    """The functions that stand in for those a script lacks."""

    def default_input_fn(self, input_data: Any, content_type: str, _context: Any = None) -> Any:
        return content.decode(input_data, content_type)

    def default_output_fn(self, prediction: Any, accept: str, _context: Any = None) -> Any:
        return content.encode(prediction, accept)


def _encode(array_like: Any, content_type: str) -> str | bytes:
    return content.encode(array_like, content_type)[0]


def _parse_accept(accept: str) -> list[str]:
    return [media_type(part) for part in accept.split(",")]


_MODULES: dict[str, dict[str, Any]] = {
    "content_types": {
        "JSON": content.JSON,
        "CSV": content.CSV,
        "NPY": content.NPY,
        "NPZ": content.NPZ,
        "OCTET_STREAM": "application/octet-stream",
        "ANY": "*/*",
        "UTF8_TYPES": [content.JSON, content.CSV],
    },
    "decoder": {"decode": content.decode},
    "encoder": {"encode": _encode, "SUPPORTED_CONTENT_TYPES": set(content.OFFERED)},
    "errors": {
        "BaseInferenceToolkitError": BaseInferenceToolkitError,
        "GenericInferenceToolkitError": GenericInferenceToolkitError,
        "UnsupportedFormatError": UnsupportedFormatError,
    },
    "default_inference_handler": {"DefaultInferenceHandler": DefaultInferenceHandler},
    "utils": {"parse_accept": _parse_accept},
}


def install() -> None:
    """Make `sagemaker_inference` importable, unless the image holds the real one."""
    if PACKAGE in sys.modules or importlib.util.find_spec(PACKAGE) is not None:
        return
    package = ModuleType(PACKAGE, "The names scripts use; from the serving stack.")
    package.__path__ = []
    sys.modules[PACKAGE] = package
    for name, members in _MODULES.items():
        module = ModuleType(f"{PACKAGE}.{name}")
        vars(module).update(members)
        setattr(package, name, module)
        sys.modules[module.__name__] = module
