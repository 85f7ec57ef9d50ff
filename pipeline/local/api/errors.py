"""Errors of a JSON 1.1 service as AWS sends them: code, HTTP status and message.

ApiError
├── ValidationException      400  a constraint of the service's model is violated
├── AccessDeniedException    400  the caller's policies do not allow it
├── SerializationException   400  the body is not what the protocol asks for
├── UnknownOperation         404  the service has no such operation
├── NotSupported             501  the service has it, the local target does not
├── InternalFailure          500  a fault of ours
└── what a service's own errors module adds
"""

from __future__ import annotations

import json
from typing import Any

CONTENT_TYPE = "application/x-amz-json-1.1"


class ApiError(Exception):
    """An error that reaches the client with AWS's code and status.

    Args:
        message: the text the client sees.
        members: further members of the error's body (ModelError has some).
    """

    code = "InternalFailure"
    status = 500
    # Modelled errors spell it `Message`, the common ones `message`; botocore reads both.
    message_key = "message"

    def __init__(self, message: str, **members: Any) -> None:
        super().__init__(message)
        self.message = message
        self.members = members

    def response(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the JSON 1.1 protocol."""
        body = {"__type": self.code, self.message_key: self.message, **self.members}
        headers = {"Content-Type": CONTENT_TYPE, "x-amzn-errortype": self.code}
        return self.status, headers, json.dumps(body).encode()


class ValidationException(ApiError):
    """Bad input."""

    code, status = "ValidationException", 400


class AccessDeniedException(ApiError):
    """The caller's policies do not allow the action."""

    code, status = "AccessDeniedException", 400


class SerializationException(ApiError):
    """A value of the wrong JSON type, or no JSON at all."""

    code, status = "SerializationException", 400


class UnknownOperation(ApiError):
    """The service has no operation of that name."""

    code, status = "UnknownOperationException", 404


class NotSupported(ApiError):
    """AWS can do this; the local target cannot and says so instead of pretending."""

    # 501: botocore does not retry it, as it would 500, 502, 503 and 504.
    code, status = "UnsupportedOperation", 501

    def __init__(self, feature: str) -> None:
        super().__init__(f"{feature} is not supported by the local target.")


class InternalFailure(ApiError):
    """A fault of the local target."""

    code, status = "InternalFailure", 500
