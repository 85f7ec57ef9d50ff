"""Seam: STS's AssumeRoleWithWebIdentity. MiniStack weighs the role's trust, and believes any token.

Here the token is verified first: its issuer must be an OIDC provider of the role's account, its signature
must be GitHub's, which on this target is our own key (pipeline/local/oidc).
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from pipeline.local import context
from pipeline.local.oidc import ISSUER, Key, WebIdentityError, verify

Response = tuple[int, dict[str, str], Any]
_ACTION = "AssumeRoleWithWebIdentity"
_ROLE_ARN = re.compile(r"^arn:(?:aws|aws-cn|aws-us-gov):iam::(\d{12}):role/(?:.*/)?([\w+=,.@-]{1,64})$")


def install(sts: Any) -> None:
    """Verify the token before MiniStack's handler, and put what it says into the answer."""
    theirs: Callable[..., Awaitable[Response]] = sts.handle_request

    async def handle_request(
        method: str, path: str, headers: dict, body: bytes, query_params: dict
    ) -> Response:
        form = parse_qs(body.decode("utf-8", "replace")) if method == "POST" else query_params
        if _one(form, "Action") != _ACTION:
            return await theirs(method, path, headers, body, query_params)
        try:
            claims = verify(
                _one(form, "WebIdentityToken"),
                providers(_one(form, "RoleArn")),
                {ISSUER: Key.at(context.paths().oidc_key)},
                time.time(),
            )
            _longest(form)
        except WebIdentityError as error:
            return _refuse(error)
        answer = await theirs(method, path, headers, body, query_params)
        return _told(answer, claims, _one(form, "RoleArn"))

    sts.handle_request = handle_request


def providers(role_arn: str) -> dict[str, list[str]]:
    """The OIDC providers of the role's account: issuer's URL -> client ids."""
    from ministack.services import iam

    found = _ROLE_ARN.match(role_arn)
    if found is None:
        return {}
    known: dict[str, list[str]] = {}
    for (account, *_), record in iam._oidc_providers._data.items():
        if account == found[1]:
            url = str(record["Url"])
            known[url if url.startswith("https://") else f"https://{url}"] = list(record["ClientIDList"])
    return known


def _longest(form: dict[str, list[str]]) -> None:
    """DurationSeconds within the role's own maximum, as AWS says it."""
    from ministack.services import iam

    found = _ROLE_ARN.match(_one(form, "RoleArn"))
    role = iam._roles.get_scoped(found[1], None, found[2]) if found else None
    asked, allowed = (
        _one(form, "DurationSeconds") or "3600",
        int((role or {}).get("MaxSessionDuration") or 3600),
    )
    if not asked.isdigit() or not 900 <= int(asked) <= 43200:
        raise WebIdentityError("ValidationError", f"DurationSeconds {asked} is not within 900 and 43200")
    if int(asked) > allowed:
        raise WebIdentityError(
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )


def _refuse(error: WebIdentityError) -> Response:
    content = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error></ErrorResponse>"
    )
    return error.status, {"Content-Type": "text/xml"}, content.encode()


def _told(answer: Response, claims: dict[str, Any], role_arn: str) -> Response:
    """MiniStack's answer, with the subject, audience and provider of the token."""
    status, headers, content = answer
    if status != 200:
        return answer
    audience = claims["aud"][0] if isinstance(claims["aud"], list) else claims["aud"]
    partition, account = role_arn.split(":")[1], role_arn.split(":")[4]
    host = str(claims["iss"]).removeprefix("https://")
    provider = f"arn:{partition}:iam::{account}:oidc-provider/{host}"
    text = content.decode() if isinstance(content, bytes) else str(content)
    for name, value in (
        ("SubjectFromWebIdentityToken", claims["sub"]),
        ("Audience", audience),
        ("Provider", provider),
    ):
        text = re.sub(f"<{name}>[^<]*</{name}>", f"<{name}>{escape(str(value))}</{name}>", text)
    headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    return status, headers, text.encode()


def _one(form: dict[str, Any], name: str) -> str:
    found = form.get(name) or [""]
    return str(found[0] if isinstance(found, list) else found)
