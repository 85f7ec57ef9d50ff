"""What STS checks of a web identity token before it looks at the role: issuer, audience, signature, times.

Errors and their codes: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.local.oidc.issuer import ALGORITHM, Key

_NOT_A_TOKEN = (
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
)


class WebIdentityError(Exception):
    """STS refuses the token.

    Args:
        code: InvalidIdentityToken, ExpiredTokenException or IDPRejectedClaim.
        status: the HTTP status that goes with it.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def verify(
    token: str, providers: Mapping[str, list[str]], keys: Mapping[str, Key], now: float
) -> dict[str, Any]:
    """The claims of a token that an OIDC provider of the account vouches for.

    Args:
        token: a JWT.
        providers: the account's OIDC providers: issuer's URL -> its client ids (audiences).
        keys: the issuers' keys, by issuer's URL: what AWS gets from the issuer's JWKS.
        now: seconds since the epoch.

    Raises:
        WebIdentityError: with AWS's code.
    """
    import jwt

    try:
        header = jwt.get_unverified_header(token)
        unverified = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise WebIdentityError("InvalidIdentityToken", _NOT_A_TOKEN) from error
    issuer = str(unverified.get("iss", ""))
    if issuer not in providers:
        raise WebIdentityError(
            "InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {issuer}"
        )
    key = keys.get(issuer)
    if key is None or header.get("kid") != key.kid or header.get("alg") != ALGORITHM:
        raise WebIdentityError(
            "InvalidIdentityToken",
            "Couldn't retrieve verification key from your identity provider, please reference "
            "AssumeRoleWithWebIdentity documentation for requirements",
        )
    try:
        # Times and audience are judged below, with AWS's codes.
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public_pem,
            [ALGORITHM],
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False},
        )
    except jwt.InvalidTokenError as error:
        raise WebIdentityError(
            "InvalidIdentityToken", f"The token's signature is not its issuer's: {error}"
        ) from error
    audiences = claims.get("aud")
    named = [str(each) for each in audiences] if isinstance(audiences, list) else [str(audiences)]
    if not set(named) & set(providers[issuer]):
        raise WebIdentityError("InvalidIdentityToken", "Incorrect token audience")
    _judge_times(claims, now)
    if not claims.get("sub"):
        raise WebIdentityError("IDPRejectedClaim", "the token names no subject", 403)
    return claims


def _judge_times(claims: Mapping[str, Any], now: float) -> None:
    expires, begins = claims.get("exp"), claims.get("nbf", claims.get("iat", 0))
    if not isinstance(expires, int | float) or not isinstance(begins, int | float):
        raise WebIdentityError("InvalidIdentityToken", "exp, nbf or iat of the token is no number")
    if now >= expires:
        raise WebIdentityError(
            "ExpiredTokenException",
            f"Token expired: current date/time {int(now)} must be before the expiration date/time "
            f"{int(expires)}",
        )
    if now < begins:
        raise WebIdentityError("IDPRejectedClaim", f"the token does not hold before {int(begins)}", 403)
