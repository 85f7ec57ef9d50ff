"""Tokens as GitHub writes them, the endpoint that gives them, and what STS says of them."""

from __future__ import annotations

import json
import stat
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from pipeline.local.oidc import (
    ISSUER,
    Endpoint,
    Grants,
    Job,
    Key,
    WebIdentityError,
    claims,
    issuer,
    sign,
    subject,
    verify,
)

JOB = Job(
    "octo-org/octo-repo",
    "refs/heads/main",
    "a" * 40,
    "push",
    workflow="Deploy",
    workflow_path=".github/workflows/deploy.yml",
    actor="octocat",
    actor_id=12,
    owner_id=123456,
    repository_id=456789,
)
NOW = 1_800_000_000.0
AUDIENCE = "sts.amazonaws.com"
# GitHub's OpenID Connect reference, "OIDC token claims".
DOCUMENTED = {
    *("actor", "actor_id", "base_ref", "environment", "event_name", "head_ref"),
    *("job_workflow_ref", "job_workflow_sha", "ref", "ref_type", "repository", "repository_id"),
    *("repository_owner", "repository_owner_id", "repository_visibility", "run_id", "run_number"),
    *("run_attempt", "runner_environment", "sha", "workflow", "workflow_ref", "workflow_sha"),
    *("jti", "iss", "sub", "aud", "exp", "iat", "nbf"),
}
PROVIDERS = {ISSUER: [AUDIENCE]}


@pytest.fixture(scope="module")
def key() -> Key:
    return issuer.generate()


# The left column is GitHub's own table of examples (docs.github.com, OpenID Connect reference).
@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ("repo:octo-org/octo-repo:environment:Production", {"environment": "Production"}),
        ("repo:octo-org/octo-repo:environment:Production%3AV1", {"environment": "Production:V1"}),
        ("repo:octo-org/octo-repo:pull_request", {"event_name": "pull_request", "ref": "refs/pull/1/merge"}),
        ("repo:octo-org/octo-repo:ref:refs/heads/main", {}),
        ("repo:octo-org/octo-repo:ref:refs/tags/demo-tag", {"ref": "refs/tags/demo-tag"}),
        (
            "repo:octo-org/octo-repo:ref:refs/heads/gh-readonly-queue/main/pr-1-abc",
            {"event_name": "merge_group", "ref": "refs/heads/gh-readonly-queue/main/pr-1-abc"},
        ),
        ("repo:octo-org@123456/octo-repo@456789:ref:refs/heads/main", {"immutable": True}),
        (
            "repo:octo-org@123456/octo-repo@456789:environment:Production",
            {"immutable": True, "environment": "Production", "event_name": "pull_request"},
        ),
    ],
)
def test_the_subject_is_githubs(expected: str, change: dict[str, Any]) -> None:
    assert subject(replace(JOB, **change)) == expected


def test_a_token_has_githubs_claims_as_text_and_its_times() -> None:
    said = claims(replace(JOB, environment="staging"), AUDIENCE, NOW)
    assert said.keys() == DOCUMENTED
    assert all(isinstance(value, str) for name, value in said.items() if name not in ("exp", "iat", "nbf"))
    assert (said["repository_id"], said["repository_owner"], said["ref_type"]) == (
        "456789",
        "octo-org",
        "branch",
    )
    assert said["job_workflow_ref"] == "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main"
    assert said["exp"] - said["iat"] == 300, "GitHub's tokens live five minutes"
    assert "environment" not in claims(JOB, AUDIENCE, NOW)


def test_the_key_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "state" / "oidc.key"
    made = Key.at(file)
    assert Key.at(file) == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["oidc.key"]


def test_a_good_token_gives_its_claims(key: Key) -> None:
    token = sign(key, claims(JOB, AUDIENCE, NOW))
    assert verify(token, PROVIDERS, {ISSUER: key}, NOW)["sub"] == subject(JOB)
    assert jwt.get_unverified_header(token)["alg"] == "RS256"


@pytest.mark.parametrize(
    ("change", "at", "code", "message"),
    [
        ({"iss": "https://evil.example"}, NOW, "InvalidIdentityToken", "No OpenIDConnect provider found"),
        ({"aud": "https://github.com/octo-org"}, NOW, "InvalidIdentityToken", "Incorrect token audience"),
        ({}, NOW + 301, "ExpiredTokenException", "must be before the expiration date/time"),
        ({}, NOW - 3600, "IDPRejectedClaim", "does not hold before"),
        ({"sub": ""}, NOW, "IDPRejectedClaim", "no subject"),
        ({"exp": "soon"}, NOW, "InvalidIdentityToken", "no number"),
    ],
)
def test_what_sts_refuses(key: Key, change: dict[str, Any], at: float, code: str, message: str) -> None:
    token = sign(key, {**claims(JOB, AUDIENCE, NOW), **change})
    with pytest.raises(WebIdentityError, match=message) as raised:
        verify(token, PROVIDERS, {ISSUER: key}, at)
    assert raised.value.code == code


def test_a_forged_token_is_refused(key: Key) -> None:
    good = sign(key, claims(JOB, AUDIENCE, NOW))
    head, body, signature = good.split(".")
    other = sign(key, claims(replace(JOB, environment="production"), AUDIENCE, NOW)).split(".")[1]
    unsigned = jwt.encode(claims(JOB, AUDIENCE, NOW), "", algorithm="none")
    by_name = jwt.encode(claims(JOB, AUDIENCE, NOW), "x" * 32, algorithm="HS256", headers={"kid": key.kid})
    stranger = sign(issuer.generate(), claims(JOB, AUDIENCE, NOW))
    for forged in (f"{head}.{other}.{signature}", f"{head}.{body}.", unsigned, by_name, stranger, "x", ""):
        with pytest.raises(WebIdentityError) as raised:
            verify(forged, PROVIDERS, {ISSUER: key}, NOW)
        assert raised.value.code == "InvalidIdentityToken", forged


def test_a_job_gets_tokens_about_itself_and_nobody_else_does(key: Key) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(url: str, bearer: str) -> dict[str, str]:
        request = urllib.request.Request(url, headers={"Authorization": f"bearer {bearer}"})
        answer: dict[str, str] = json.load(opener.open(request))
        return answer

    with Endpoint(key) as endpoint:
        given = endpoint.grant(JOB)
        url, bearer = given["ACTIONS_ID_TOKEN_REQUEST_URL"], given["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
        assert "?" in url, "clients append &audience="
        said = verify(
            ask(f"{url}&audience={AUDIENCE}", bearer)["value"], PROVIDERS, {ISSUER: key}, time.time()
        )
        assert said["sub"] == subject(JOB)
        unasked = jwt.decode(ask(url, bearer)["value"], options={"verify_signature": False})
        assert unasked["aud"] == "https://github.com/octo-org"
        endpoint.revoke(given)
        for wrong in (bearer, "guessed", ""):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                ask(url, wrong)


def test_the_endpoint_answers_nothing_but_a_get_of_its_path(key: Key) -> None:
    grants = Grants(key)
    bearer = grants.grant(JOB)
    assert grants.answer("POST", "/_apis/id-token?api-version=2.0", f"bearer {bearer}")[0] == 404
    assert grants.answer("GET", "/", f"bearer {bearer}")[0] == 404
    assert grants.answer("GET", "/_apis/id-token", f"Basic {bearer}")[0] == 401
