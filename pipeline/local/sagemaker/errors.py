"""SageMaker's errors: code, HTTP status and message as AWS sends them.

SageMakerError
├── ValidationException      400  bad input, and (on AWS too) most missing resources of hosting
├── ResourceNotFound         400  modelled; jobs and model packages
├── ResourceInUse            400  modelled; a name that is taken, a job that already ended
├── ResourceLimitExceeded    400  modelled; a quota
├── ConflictException        400  modelled; something else changed it first
├── AccessDeniedException    400  the caller's policies do not allow it
├── SerializationException   400  the body is not what the protocol asks for
├── UnknownOperation         404  SageMaker has no such operation
├── NotSupported             501  SageMaker has it, the local target does not
└── InternalFailure          500  a fault of ours
"""

from __future__ import annotations

import json
from typing import Any

CONTENT_TYPE = "application/x-amz-json-1.1"


class SageMakerError(Exception):
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


class ValidationException(SageMakerError):
    """Bad input; for endpoints, configs and models also: no such resource."""

    code, status = "ValidationException", 400


class ResourceNotFound(SageMakerError):
    """A job, group or package that does not exist."""

    code, status, message_key = "ResourceNotFound", 400, "Message"


class ResourceInUse(SageMakerError):
    """The name is taken, or the resource's state does not permit the operation."""

    code, status, message_key = "ResourceInUse", 400, "Message"


class ResourceLimitExceeded(SageMakerError):
    """A quota of the account would be exceeded."""

    code, status, message_key = "ResourceLimitExceeded", 400, "Message"


class ConflictException(SageMakerError):
    """The resource changed under the request."""

    code, status, message_key = "ConflictException", 400, "Message"


class AccessDeniedException(SageMakerError):
    """The caller's policies do not allow the action."""

    code, status = "AccessDeniedException", 400


class SerializationException(SageMakerError):
    """A value of the wrong JSON type, or no JSON at all."""

    code, status = "SerializationException", 400


class UnknownOperation(SageMakerError):
    """SageMaker has no operation of that name."""

    code, status = "UnknownOperationException", 404


class NotSupported(SageMakerError):
    """SageMaker can do this; the local target cannot and says so instead of pretending."""

    # 501: botocore does not retry it, as it would 500, 502, 503 and 504.
    code, status = "UnsupportedOperation", 501

    def __init__(self, feature: str) -> None:
        super().__init__(f"{feature} is not supported by the local target.")


class InternalFailure(SageMakerError):
    """A fault of the local target."""

    code, status = "InternalFailure", 500
