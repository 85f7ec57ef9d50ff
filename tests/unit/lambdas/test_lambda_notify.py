"""notify: the message, the off-switch, and that nothing Slack does ever fails a run or leaks the URL."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from pipeline.lambdas.notify import handler as notify

ARN = "arn:aws:states:eu-central-1:111122223333:execution:iris-dev:2026-03-02-abc"
EVENT: dict[str, Any] = {
    "kind": "rejected",
    "pipeline": "iris",
    "environment": "dev",
    "execution_arn": ARN,
    "execution_name": "2026-03-02-abc",
    "details": {"reason": "accuracy 0.31 < minimum 0.88", "metrics": {"accuracy": 0.31}, "nothing": ""},
}
PATH = "/services/T000/B000/very-secret"


class Receiver:
    """A webhook on this machine that answers what it is told to, in turn; the last answer repeats."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = [(200, "ok")]
        self.bodies: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == PATH
                outer.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                status, text = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_args: Any) -> None:
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}{PATH}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class FakeSecrets:
    """Secrets Manager with one secret, or with an error in its place."""

    def __init__(self, secret: str | Exception) -> None:
        self.secret = secret

    def get_secret_value(self, SecretId: str) -> dict[str, str]:
        assert SecretId == "arn:secret"
        if isinstance(self.secret, Exception):
            raise self.secret
        return {"SecretString": self.secret}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    made = Receiver()
    configure(monkeypatch, made.url)
    monkeypatch.setattr(notify.time, "sleep", lambda _seconds: None)
    yield made
    made.stop()


def configure(monkeypatch: pytest.MonkeyPatch, secret: str | Exception) -> None:
    monkeypatch.setenv("SLACK_SECRET_ARN", "arn:secret")
    monkeypatch.setenv("CHANNEL", "#ml")
    monkeypatch.setenv("ENABLED", "true")
    monkeypatch.setattr(notify, "client", lambda _service: FakeSecrets(secret))


def test_the_message_reaches_slack_with_link_and_details(receiver: Receiver) -> None:
    assert notify.handler(EVENT, None) == {"sent": True, "why": ""}
    (body,) = receiver.bodies
    text = json.dumps(body)
    assert body["channel"] == "#ml"
    assert "Model rejected" in body["blocks"][0]["text"]["text"]
    assert f"#/v2/executions/details/{ARN}|2026-03-02-abc>" in text
    assert "accuracy 0.31 &lt; minimum 0.88" in text
    assert "*nothing*" not in text


def test_the_secret_may_be_json(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, json.dumps({"url": receiver.url}))
    assert notify.handler(EVENT, None)["sent"] is True


@pytest.mark.parametrize(
    ("answers", "sent", "posts", "why"),
    [
        ([(500, "oops"), (200, "ok")], True, 2, ""),
        ([(429, ""), (200, "ok")], True, 2, ""),
        ([(503, "<html>")], False, 2, "Slack answered 503"),
        ([(404, "no_service")], False, 1, "Slack answered 404 no_service"),
        ([(403, "invalid_token")], False, 1, "Slack answered 403 invalid_token"),
        ([(302, "")], False, 1, "Slack answered 302"),
    ],
)
def test_it_tries_twice_where_that_can_help(
    receiver: Receiver, answers: list[tuple[int, str]], sent: bool, posts: int, why: str
) -> None:
    receiver.answers = answers
    assert notify.handler(EVENT, None) == {"sent": sent, "why": why}
    assert len(receiver.bodies) == posts


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": f"about {PATH}"}}, "GetSecretValue")


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (error("ResourceNotFoundException"), "the secret cannot be read: ResourceNotFoundException"),
        (error("AccessDeniedException"), "the secret cannot be read: AccessDeniedException"),
        (EndpointConnectionError(endpoint_url=f"https://x{PATH}"), "EndpointConnectionError"),
        ("", "no https URL"),
        ("hooks.slack.com/services/very-secret", "no https URL"),
        ("http://hooks.slack.com/services/very-secret", "no https URL"),
        ("file:///etc/very-secret", "no https URL"),
        ("https://[very-secret", "no valid URL"),
        ("https://host:very-secret/", "no valid URL"),
        ("https://127.0.0.1/very secret\r\n", "the secret holds a URL that cannot be requested"),
        ("{very-secret", "looks like JSON"),
        ('{"address": "https://x/very-secret"}', "no https URL"),
        # Nothing listens on port 9.
        (f"http://127.0.0.1:9{PATH}", "Slack cannot be reached: ConnectionRefusedError"),
        (RuntimeError(PATH), "unexpected RuntimeError"),
    ],
)
def test_trouble_never_raises_and_never_shows_the_url(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], secret: str | Exception, why: str
) -> None:
    configure(monkeypatch, secret)
    monkeypatch.setattr(notify.time, "sleep", lambda _seconds: None)
    if isinstance(secret, str) and "very secret" in secret:
        monkeypatch.setattr(notify.http.client.HTTPSConnection, "connect", lambda _self: None)
    result = notify.handler(EVENT, None)
    assert result["sent"] is False
    assert why in result["why"]
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["why"] == result["why"]
    assert "very" not in line and "services" not in line


@pytest.mark.parametrize("value", ["", "false", "0", "off", "no", "nonsense"])
def test_the_off_switch(receiver: Receiver, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ENABLED", value)
    assert notify.handler(EVENT, None) == {"sent": False, "why": "notifications are switched off"}
    assert receiver.bodies == []


def test_no_secret_configured_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, "unused")
    monkeypatch.setenv("SLACK_SECRET_ARN", "")
    assert notify.handler(EVENT, None)["why"] == "no Slack secret is configured"


def test_a_message_stays_within_slacks_limits() -> None:
    details = {f"detail {n}": "<!channel> & " * 1000 for n in range(30)} | {
        f"short{n}": "x" for n in range(30)
    }
    body = notify.message({**EVENT, "kind": "k" * 500, "details": details}, "")
    assert len(body["blocks"]) <= 50
    assert len(body["text"]) <= 3000
    for block in body["blocks"]:
        assert len(block.get("fields", [])) <= 10
        assert all(len(item["text"]) <= 2000 for item in block.get("fields", []))
        limit = 150 if block["type"] == "header" else 3000
        assert len(block.get("text", {"text": ""})["text"]) <= limit
    assert "<!channel>" not in json.dumps(body)
    assert "channel" not in body


@pytest.mark.parametrize("event", [{}, {"kind": None, "details": "text"}, {"details": {"x": object()}}])
def test_an_odd_event_is_still_a_message(event: dict[str, Any]) -> None:
    assert notify.message(event, "")["blocks"]


@pytest.mark.parametrize(
    ("arn", "start"),
    [
        (ARN, "https://eu-central-1.console.aws.amazon.com/states/home?region=eu-central-1#/"),
        (ARN.replace("arn:aws:", "arn:aws-cn:"), "https://eu-central-1.console.amazonaws.cn/"),
        ("arn:aws:states:eu-central-1:111122223333:stateMachine:iris-dev", ""),
        ("", ""),
    ],
)
def test_the_console_link_is_made_from_the_arn(arn: str, start: str) -> None:
    link = notify.console_url(arn)
    assert link.startswith(start) and bool(link) == bool(start)
