"""Credentials from a job's identity token: asked for late, renewed, and never of a fork."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.session
import pytest

from pipeline.aws import web_identity
from pipeline.errors import TargetError

ROLE = "arn:aws:iam::222222222222:role/ml-staging-plan"


class Service(BaseHTTPRequestHandler):
    """GitHub's token service and AWS's STS, as far as one exchange goes."""

    asked: list[dict[str, Any]] = []
    expires = "2099-01-01T00:00:00Z"

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.asked.append({"token": self.headers["Authorization"], **query})
        good = self.headers["Authorization"] == "bearer mine"
        self._answer(200 if good else 401, json.dumps({"value": f"jwt-{len(self.asked)}"} if good else {}))

    def do_POST(self) -> None:
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.asked.append({"signed": "Authorization" in self.headers, **body})
        self._answer(
            200,
            "<AssumeRoleWithWebIdentityResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'>"
            "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA</AccessKeyId>"
            f"<SecretAccessKey>s{len(self.asked)}</SecretAccessKey><SessionToken>t</SessionToken>"
            f"<Expiration>{self.expires}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
            "</AssumeRoleWithWebIdentityResponse>",
        )

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Service]]:
    Service.asked = []
    Service.expires = "2099-01-01T00:00:00Z"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    for name, value in {
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{url}/id-token?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "mine",
        "AWS_ENDPOINT_URL": url,
        "AWS_ROLE_ARN": ROLE,
        "AWS_ROLE_SESSION_NAME": "acme-repo-42",
        # A proxy would be shown the token; loopback goes past it.
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    yield Service
    server.shutdown()
    server.server_close()


def session() -> Any:
    core = botocore.session.Session()
    web_identity.provide(core, "eu-west-1")
    return core


def test_nothing_is_asked_before_credentials_are_needed(service: type[Service]) -> None:
    core = session()
    assert service.asked == []
    frozen = core.get_credentials().get_frozen_credentials()
    assert (frozen.access_key, frozen.token) == ("ASIA", "t")
    token, exchange = service.asked
    assert token == {"token": "bearer mine", "api-version": ["2.0"], "audience": ["sts.amazonaws.com"]}
    assert exchange["Action"] == ["AssumeRoleWithWebIdentity"]
    assert exchange["RoleArn"] == [ROLE]
    assert exchange["RoleSessionName"] == ["acme-repo-42"]
    assert exchange["WebIdentityToken"] == ["jwt-1"]
    assert exchange["signed"] is False


def test_credentials_that_end_are_renewed_with_a_new_token(service: type[Service]) -> None:
    service.expires = "2001-01-01T00:00:00Z"
    core = session()
    # botocore does not take credentials that have ended already.
    with pytest.raises(RuntimeError, match="expired"):
        core.get_credentials().get_frozen_credentials()
    service.expires = "2099-01-01T00:00:00Z"
    assert core.get_credentials().get_frozen_credentials().access_key == "ASIA"
    tokens = [each["WebIdentityToken"] for each in service.asked if "WebIdentityToken" in each]
    assert len(tokens) == len({str(token) for token in tokens}) >= 2


def test_only_a_job_that_may_ask_for_a_token_is_given_a_role() -> None:
    token = {"ACTIONS_ID_TOKEN_REQUEST_URL": "u", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t"}
    assert web_identity.available(token)
    assert not web_identity.wanted(token)
    assert web_identity.wanted({**token, "AWS_ROLE_ARN": ROLE})
    # A fork's pull request: GitHub gives it neither variable.
    assert not web_identity.wanted({"AWS_ROLE_ARN": ROLE})
    assert not web_identity.available({**token, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": ""})


def test_a_refusal_names_the_permission(service: type[Service], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "another's")
    with pytest.raises(TargetError, match="no identity token") as caught:
        session().get_credentials().get_frozen_credentials()
    assert "id-token: write" in caught.value.hint
    assert "another's" not in str(caught.value)
    assert len(service.asked) == 1
