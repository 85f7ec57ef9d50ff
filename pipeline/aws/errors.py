"""botocore's exceptions as sentences that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import TargetError

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
BAD_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})
# The codes that botocore's standard retry mode takes for throttling.
THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)


def code(error: BaseException) -> str:
    """AWS's error code of a ClientError; empty for anything else."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def message(error: BaseException) -> str:
    """AWS's message of a ClientError; else the exception's text."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Message") or error)
    return str(error)


def as_target_error(error: BaseException, target: str = "") -> TargetError | None:
    """`error` in our words, or None if it is not botocore's."""
    from botocore import exceptions as boto

    where = target and f"target {target}"
    if isinstance(
        error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError
    ):
        return TargetError(
            f"no usable AWS credentials: {error}",
            where=where,
            hint="run `aws sso login`, export AWS_PROFILE=..., or leave --target aws away",
        )
    if isinstance(error, boto.ProfileNotFound | boto.ConfigParseError | boto.SSOError):
        return TargetError(str(error), where=where, hint="see `aws configure list-profiles` and AWS_PROFILE")
    if isinstance(error, boto.ClientError):
        return _client_error(error, where)
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError):
        hint = (
            "see `pipeline local status`" if "127.0.0.1" in str(error) else "check the network and the region"
        )
        return TargetError(f"the endpoint does not answer: {error}", where=where, hint=hint)
    if isinstance(error, boto.ParamValidationError):
        return TargetError(str(error).replace("\n", "; "), where=where)
    if isinstance(error, boto.BotoCoreError):
        return TargetError(str(error), where=where)
    return None


def _client_error(error: BaseException, where: str) -> TargetError:
    what, operation = code(error), str(getattr(error, "operation_name", ""))
    place = f"{where}, {operation}" if where else operation
    if what in EXPIRED:
        return TargetError(
            "the session token has expired",
            where=place,
            hint="log in again: `aws sso login` (or renew AWS_SESSION_TOKEN)",
        )
    if what in BAD_CREDENTIALS:
        return TargetError(
            f"the credentials were refused ({what}): {message(error)}",
            where=place,
            hint="check AWS_PROFILE and AWS_ACCESS_KEY_ID; try `aws sts get-caller-identity`",
        )
    if what in DENIED:
        return TargetError(
            f"permission denied: {message(error)}",
            where=place,
            hint="the role in use needs this action; see docs/how-to/set-up-an-account.md",
        )
    if what in THROTTLED:
        return TargetError(
            f"AWS throttled the call, also after repeats ({what})",
            where=place,
            hint="wait a minute and run it again",
        )
    return TargetError(f"{what}: {message(error)}", where=place)


@contextmanager
def told(target: str = "") -> Iterator[None]:
    """Within it, botocore's exceptions become TargetErrors."""
    try:
        yield
    except Exception as error:
        known = as_target_error(error, target)
        if known is None:
            raise
        raise known from error
