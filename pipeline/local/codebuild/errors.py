"""CodeBuild's own errors, beside those of every JSON service (`pipeline.local.api.errors`)."""

from __future__ import annotations

from pipeline.local.api.errors import ApiError

__all__ = [
    "AccountLimitExceededException",
    "ApiError",
    "InvalidInputException",
    "ResourceAlreadyExistsException",
    "ResourceNotFoundException",
]


class InvalidInputException(ApiError):
    """The input value that was provided is not valid."""

    code, status = "InvalidInputException", 400


class ResourceNotFoundException(ApiError):
    """The specified AWS resource cannot be found."""

    code, status = "ResourceNotFoundException", 400


class ResourceAlreadyExistsException(ApiError):
    """The specified AWS resource cannot be created, because one with the same settings exists."""

    code, status = "ResourceAlreadyExistsException", 400


class AccountLimitExceededException(ApiError):
    """A service limit was exceeded."""

    code, status = "AccountLimitExceededException", 400
