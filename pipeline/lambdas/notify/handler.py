"""Tells Slack what happened to a run. No trouble with Slack, or with its secret, ever fails the run.

Event: {"kind", "pipeline", "environment", "execution_arn", "execution_name", "details": {...}}. Environment:
SLACK_SECRET_ARN (the webhook's URL, as text or as {"url": ...}; may be empty), CHANNEL, ENABLED.
The URL is a secret: it is never logged, nor is any text that could hold it.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

TIMEOUT_SECONDS = 5
ATTEMPTS = 2
LONGEST_PAUSE_SECONDS = 2.0
# No second attempt after this long: the function itself is given 30 s.
PATIENCE_SECONDS = 12

TITLES = {
    "started": ":arrow_forward: Training started",
    "trained": ":mortar_board: Model trained",
    "rejected": ":no_entry: Model rejected",
    "data_rejected": ":no_entry: Data rejected",
    "data_notes": ":warning: Data differs from the accepted",
    "approval": ":raising_hand: Approval needed",
    "deployed": ":rocket: Model deployed",
    "failed": ":x: Run failed",
    "drift": ":chart_with_upwards_trend: Requests differ from the training data",
    "nothing_new": ":zzz: Nothing new to train on",
}

# Block Kit's limits: header 150, section text 3,000, a field 2,000 characters, 10 fields a section.
HEADER_CHARACTERS, FIELD_CHARACTERS, TEXT_CHARACTERS, FIELDS = 150, 2000, 3000, 10
# A longer value gets a section of its own instead of half a column.
SHORT_VALUE = 60

_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class NotSent(Exception):
    """Why no message went out. The text never holds the URL."""

    def __init__(self, why: str, *, again: bool = False, pause: float = 0.5) -> None:
        super().__init__(why)
        self.again = again
        self.pause = pause


# --- pure ---------------------------------------------------------------------------------------------------


def message(event: Mapping[str, Any], channel: str) -> dict[str, Any]:
    """Slack's JSON: a plain text for notifications, and blocks."""
    kind = str(event.get("kind", ""))
    title = TITLES.get(kind, f":information_source: {kind or 'A run'}")
    subject = f"{event.get('pipeline', '?')} ({event.get('environment', '?')})"
    name = str(event.get("execution_name", ""))
    link = console_url(str(event.get("execution_arn", "")))
    run = f"<{link}|{escape(name)}>" if link else escape(name) or "-"
    fields = [
        field("Pipeline", escape(str(event.get("pipeline", "?")))),
        field("Environment", escape(str(event.get("environment", "?")))),
        field("Run", run),
    ]
    sections = []
    details = event.get("details")
    for key, value in (details if isinstance(details, dict) else {}).items():
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        if not text:
            continue
        label = str(key).replace("_", " ")
        if len(text) <= SHORT_VALUE and "\n" not in text and len(fields) < FIELDS:
            fields.append(field(label, escape(text)))
        else:
            shown = cut(escape(text), TEXT_CHARACTERS - len(label) - 20)
            sections.append({"type": "section", "text": markdown(f"*{escape(label)}*\n```{shown}```")})
    body: dict[str, Any] = {
        "text": cut(f"{title}: {subject} {name}", TEXT_CHARACTERS),
        "blocks": [
            {
                "type": "header",
                "text": {"type": "plain_text", "text": cut(title, HEADER_CHARACTERS), "emoji": True},
            },
            {"type": "section", "fields": fields},
            # A message holds 50 blocks; more than ten details are no message any more.
            *sections[:10],
        ],
    }
    if channel:
        body["channel"] = channel
    return body


def markdown(text: str) -> dict[str, str]:
    """A Slack text object."""
    return {"type": "mrkdwn", "text": text}


def field(label: str, text: str) -> dict[str, str]:
    """One cell of a section, its text escaped already."""
    return markdown(cut(f"*{escape(label)}*\n{text}", FIELD_CHARACTERS))


def escape(text: str) -> str:
    """Slack's three control characters, so that a value cannot mention a channel or forge a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """The text, shortened visibly."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def console_url(execution_arn: str) -> str:
    """Where the AWS console shows the execution; "" when this is no execution's ARN."""
    found = re.fullmatch(r"arn:(aws[\w-]*):states:([\w-]+):\d{12}:execution:[^:]+:[^:]+", execution_arn)
    if not found:
        return ""
    host, region = _CONSOLES.get(found[1], _CONSOLES["aws"]), found[2]
    arn = quote(execution_arn, safe=":")
    return f"https://{region}.{host}/states/home?region={region}#/v2/executions/details/{arn}"


def webhook_url(secret: str) -> SplitResult:
    """The webhook from the secret's text. Raises NotSent unless it is https, or http on this very machine."""
    text = secret.strip()
    if text.startswith("{"):
        try:
            text = str(json.loads(text).get("url", "")).strip()
        except ValueError:
            raise NotSent("the secret looks like JSON and is not") from None
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise NotSent("the secret holds no valid URL") from None
    if not host or url.scheme not in ("https", "http") or (url.scheme == "http" and host not in _LOOPBACK):
        raise NotSent("the secret holds no https URL")
    return url


def is_on(value: str) -> bool:
    """The off-switch: anything but a clear yes is off."""
    return value.strip().lower() in ("true", "1", "yes", "on")


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service, impatient: a notification is not worth waiting for."""
    config = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})
    return boto3.client(service, config=config)


def read_secret(arn: str) -> str:
    """The secret's text. Raises NotSent."""
    try:
        return str(client("secretsmanager").get_secret_value(SecretId=arn).get("SecretString", ""))
    except ClientError as error:
        raise NotSent(f"the secret cannot be read: {error.response['Error']['Code']}") from None
    except BotoCoreError as error:
        raise NotSent(f"the secret cannot be read: {type(error).__name__}") from None


def post(url: SplitResult, body: bytes) -> None:
    """One attempt. Raises NotSent; http.client follows no redirect, so the message goes nowhere else."""
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=TIMEOUT_SECONDS)
    try:
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("POST", path, body, {"Content-Type": "application/json; charset=utf-8"})
        response = connection.getresponse()
        text = response.read(200).decode("ascii", "replace")
    except http.client.InvalidURL:
        raise NotSent("the secret holds a URL that cannot be requested") from None
    except (OSError, http.client.HTTPException) as error:
        # The class only: texts of these errors may hold the host or the path.
        raise NotSent(f"Slack cannot be reached: {type(error).__name__}", again=True) from None
    except ValueError:
        # A host name that cannot be encoded, for one.
        raise NotSent("the secret holds a URL that cannot be requested") from None
    finally:
        connection.close()
    if 200 <= response.status < 300:
        return
    # Slack's own reasons are single words such as no_service; anything else is not repeated.
    said = f" {text}" if re.fullmatch(r"[a-z_]{1,40}", text) else ""
    wait = response.headers.get("Retry-After", "")
    pause = min(float(wait), LONGEST_PAUSE_SECONDS) if wait.isdigit() else 0.5
    again = response.status == 429 or response.status >= 500
    raise NotSent(f"Slack answered {response.status}{said}", again=again, pause=pause)


def send(event: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Send the message, twice at most. Raises NotSent."""
    started = time.monotonic()
    if not is_on(environ.get("ENABLED", "")):
        raise NotSent("notifications are switched off")
    secret = environ.get("SLACK_SECRET_ARN", "")
    if not secret:
        raise NotSent("no Slack secret is configured")
    url = webhook_url(read_secret(secret))
    body = json.dumps(message(event, environ.get("CHANNEL", ""))).encode()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            post(url, body)
            return
        except NotSent as error:
            late = time.monotonic() - started > PATIENCE_SECONDS
            if late or not error.again or attempt == ATTEMPTS:
                raise
            time.sleep(error.pause)


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Whether the message went out, and why if not. Does not raise."""
    try:
        send(event, os.environ)
        result = {"sent": True, "why": ""}
    except NotSent as error:
        result = {"sent": False, "why": str(error)}
    except Exception as error:  # noqa: BLE001  a message is never worth a failed run
        result = {"sent": False, "why": f"unexpected {type(error).__name__}"}
    print(
        json.dumps(
            {"event": "notified", "kind": event.get("kind"), "run": event.get("execution_name"), **result}
        )
    )
    return result
