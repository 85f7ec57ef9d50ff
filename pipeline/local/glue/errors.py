"""Glue's own errors, beside those of every JSON service (`pipeline.local.api.errors`).

GlueError (ApiError)
├── InvalidInputException                 400  what the API's model lets pass, and Glue does not
├── EntityNotFoundException               400  no such job, or run
├── AlreadyExistsException                400  a job of that name
├── IdempotentParameterMismatchException  400  a job of that name that is another one
├── ConcurrentRunsExceededException       400  MaxConcurrentRuns of the job
├── ResourceNumberLimitExceededException  400  a quota
└── those of every service: ValidationException, AccessDeniedException, NotSupported, ...
"""

from __future__ import annotations

from pipeline.local.api.errors import ApiError as GlueError
from pipeline.local.api.errors import NotSupported, ValidationException

__all__ = [
    "AlreadyExistsException",
    "ConcurrentRunsExceededException",
    "EntityNotFoundException",
    "GlueError",
    "IdempotentParameterMismatchException",
    "InvalidInputException",
    "NotSupported",
    "ResourceNumberLimitExceededException",
    "ValidationException",
]


class InvalidInputException(GlueError):
    """The input provided was not valid."""

    code, status, message_key = "InvalidInputException", 400, "Message"


class EntityNotFoundException(GlueError):
    """A specified entity does not exist."""

    code, status, message_key = "EntityNotFoundException", 400, "Message"


class AlreadyExistsException(GlueError):
    """A resource to be created or added already exists."""

    code, status, message_key = "AlreadyExistsException", 400, "Message"


class IdempotentParameterMismatchException(GlueError):
    """The same unique identifier was associated with two different records."""

    code, status, message_key = "IdempotentParameterMismatchException", 400, "Message"


class ConcurrentRunsExceededException(GlueError):
    """Too many jobs are being run concurrently."""

    code, status, message_key = "ConcurrentRunsExceededException", 400, "Message"


class ResourceNumberLimitExceededException(GlueError):
    """A resource numerical limit was exceeded."""

    code, status, message_key = "ResourceNumberLimitExceededException", 400, "Message"
