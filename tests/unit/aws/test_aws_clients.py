"""Making clients: what a user reads when AWS cannot be reached or refuses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from pipeline.aws import Clients, Credentials, Target, clients, connect
from pipeline.aws.errors import as_target_error, told
from pipeline.errors import TargetError

TARGET = Target("aws", None, "eu-west-1", "111111111111", Credentials("AKIAIOSFODNN7EXAMPLE", "secret"))


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials and no files of whoever runs the tests."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """A session whose STS answers what the test says, and which makes nothing else."""
    client = boto3.client(
        "sts",
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )

    class Session:
        def client(self, service: str, **_: Any) -> Any:
            assert service == "sts"
            return client

    monkeypatch.setattr(clients, "_session", lambda _: Session())
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def identity(account: str) -> dict[str, str]:
    return {"Account": account, "Arn": f"arn:aws:iam::{account}:user/me", "UserId": "U"}


def test_the_right_account_is_let_in_after_one_question(sts: Stubber) -> None:
    sts.add_response("get_caller_identity", identity("111111111111"))
    assert connect(TARGET).account == "111111111111"


def test_another_account_is_refused_before_anything_happens(sts: Stubber) -> None:
    sts.add_response("get_caller_identity", identity("999999999999"))
    with pytest.raises(TargetError, match=r"999999999999.*111111111111") as caught:
        connect(TARGET)
    assert "user/me" in caught.value.where
    assert "AWS_PROFILE" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "status", "says", "hint"),
    [
        ("ExpiredToken", 403, "expired", "sso login"),
        ("InvalidClientTokenId", 403, "refused", "AWS_PROFILE"),
        ("SignatureDoesNotMatch", 403, "refused", "AWS_PROFILE"),
        ("AccessDenied", 403, "permission denied: no way", "role"),
        ("Throttling", 400, "throttled", "again"),
        ("InternalFailure", 500, "InternalFailure: no way", ""),
    ],
)
def test_each_refusal_has_its_own_words(sts: Stubber, code: str, status: int, says: str, hint: str) -> None:
    sts.add_client_error("get_caller_identity", code, "no way", status)
    with pytest.raises(TargetError, match=says) as caught:
        connect(TARGET)
    assert hint in caught.value.hint
    assert "GetCallerIdentity" in caught.value.where


def test_no_credentials_are_told_with_what_to_do() -> None:
    with pytest.raises(TargetError, match="no usable AWS credentials") as caught:
        connect(Target("aws", None, "eu-west-1", "111111111111"))
    assert "sso login" in caught.value.hint


def test_an_endpoint_that_does_not_answer_is_told() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    target = Target(
        "local", f"http://127.0.0.1:{port}", "eu-west-1", "111111111111", Credentials("1" * 12, "x")
    )
    with pytest.raises(TargetError, match="does not answer") as caught:
        connect(target)
    assert "local status" in caught.value.hint


def test_explicit_credentials_want_nothing_of_a_profile_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    found = clients._session(TARGET).get_credentials()
    assert found.access_key == "AKIAIOSFODNN7EXAMPLE"
    with pytest.raises(TargetError, match="nowhere"), told("aws"):
        connect(Target("aws", None, "eu-west-1", "111111111111"))


def test_clients_are_made_once_with_retries_and_our_name() -> None:
    made = Clients(TARGET, clients._session(TARGET))
    assert made.s3 is made.s3
    assert made.lambda_.meta.service_model.service_name == "lambda"
    config = made.stepfunctions.meta.config
    assert config.retries["mode"] == "standard"
    assert config.retries["total_max_attempts"] == 4
    assert "gitops-ml-pipeline/" in config.user_agent
    assert made.sagemaker_runtime.meta.config.retries["total_max_attempts"] == 1
    with pytest.raises(AttributeError, match="no AWS client named ec2"):
        _ = made.ec2


def test_secrets_stay_out_of_what_is_printed() -> None:
    assert "secret" not in repr(TARGET).replace("secret_access_key", "")


def test_an_error_of_ours_or_of_the_program_is_not_dressed_up() -> None:
    assert as_target_error(ValueError("x")) is None
    with pytest.raises(ValueError, match="x"), told():
        raise ValueError("x")


def test_a_name_that_a_service_refuses_keeps_its_message() -> None:
    error = ClientError({"Error": {"Code": "ValidationError", "Message": "bad name"}}, "CreateChangeSet")
    known = as_target_error(error, "aws")
    assert known is not None
    assert str(known) == "target aws, CreateChangeSet: ValidationError: bad name"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "nonsense"),
        ("AWS_DEFAULTS_MODE", "nonsense"),
        ("AWS_ACCESS_KEY_ID", "AKIAFOREIGN"),
        ("AWS_PROFILE", "nowhere"),
    ],
)
def test_what_the_shell_has_for_aws_does_not_reach_a_named_endpoint(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    seen: list[str] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            seen.append(f"{self.path} {self.headers['Authorization']}")
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        target = Target("local", url, "eu-west-1", "1" * 12, Credentials("1" * 12, "x"))
        Clients(target, clients._session(target)).s3.put_object(Bucket="b", Key="k", Body=b"x")
    assert len(seen) == 1
    assert seen[0].startswith("/b/k AWS4-HMAC-SHA256 Credential=111111111111/")


def test_a_profile_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    with pytest.raises(TargetError, match="nowhere"):
        connect(Target("aws", None, "eu-west-1", "111122223333"))


def test_a_role_is_acted_as_in_its_own_account_and_its_credentials_renewed(sts: Stubber) -> None:
    role = "arn:aws:iam::222222222222:role/ml-staging-promotion-source"
    soon = datetime.now(UTC) + timedelta(minutes=1)  # to be renewed at once
    for number, expires in (("1", soon), ("2", soon + timedelta(hours=1))):
        given = {
            "AccessKeyId": f"ASIAEXAMPLE00000{number}",
            "SecretAccessKey": "s",
            "SessionToken": "t",
            "Expiration": expires,
        }
        wanted = {"RoleArn": role, "RoleSessionName": "promote-v1.2.3"}
        sts.add_response("assume_role", {"Credentials": given}, wanted)
    there = Clients(TARGET, clients._session(TARGET)).assume(role, "promote-v1.2.3", "eu-central-1")
    assert (there.account, there.region, there.target.name) == ("222222222222", "eu-central-1", "aws")
    assert there.s3._request_signer._credentials.get_frozen_credentials().access_key == "ASIAEXAMPLE000002"


def test_a_role_that_does_not_trust_this_caller_is_told(sts: Stubber) -> None:
    sts.add_client_error("assume_role", "AccessDenied", "not authorized to perform: sts:AssumeRole")
    with pytest.raises(TargetError, match="permission denied: not authorized"):
        Clients(TARGET, clients._session(TARGET)).assume("arn:aws:iam::222222222222:role/r", "promote")


@pytest.mark.parametrize("how", ["argument", "variable", "variable of a service", "profile"])
def test_an_endpoint_is_taken_care_of_whatever_way_it_was_given(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Path-style buckets, no host prefix, no proxy: there is no DNS and no world outside behind it."""
    url = "http://127.0.0.1:9"
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    if how == "variable":
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    elif how == "variable of a service":
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    elif how == "profile":
        (tmp_path / "config").write_text(f"[default]\nendpoint_url = {url}\n")
    target = Target("aws", url if how == "argument" else None, "eu-west-1", "123456789012")
    s3 = Clients(target, boto3.Session()).s3
    assert s3.meta.endpoint_url == url
    signed = s3.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "key"})
    assert signed.startswith(f"{url}/bucket/key?")
    assert s3.meta.config.inject_host_prefix is False
    assert s3.meta.config.proxies == {}


def test_aws_itself_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    s3 = Clients(Target("aws", None, "eu-west-1", "123456789012"), boto3.Session()).s3
    signed = s3.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "key"})
    assert signed.startswith("https://bucket.s3.")
    assert s3.meta.config.proxies is None
