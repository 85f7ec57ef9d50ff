"""SageMaker's own errors, beside those of every JSON service (`pipeline.local.api.errors`).

SageMakerError (ApiError)
├── ValidationException      400  bad input, and (on AWS too) most missing resources of hosting
├── ResourceNotFound         400  modelled; jobs and model packages
├── ResourceInUse            400  modelled; a name that is taken, a job that already ended
├── ResourceLimitExceeded    400  modelled; a quota
├── ConflictException        400  modelled; something else changed it first
└── AccessDeniedException, SerializationException, UnknownOperation, NotSupported, InternalFailure
"""

from __future__ import annotations

from pipeline.local.api.errors import (
    CONTENT_TYPE,
    AccessDeniedException,
    InternalFailure,
    NotSupported,
    SerializationException,
    UnknownOperation,
    ValidationException,
)
from pipeline.local.api.errors import ApiError as SageMakerError

__all__ = [
    "CONTENT_TYPE",
    "AccessDeniedException",
    "ConflictException",
    "InternalFailure",
    "NotSupported",
    "ResourceInUse",
    "ResourceLimitExceeded",
    "ResourceNotFound",
    "SageMakerError",
    "SerializationException",
    "UnknownOperation",
    "ValidationException",
]


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
