"""`make demo`: iris from an empty folder to a prediction over HTTP, through the commands a user types.

Nothing here is special to the demo but the Slack receiver: an HTTP server on this machine that stands
where Slack's incoming webhook would, so that the run's messages can be shown. Safe to repeat.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pipeline.aws import Credentials, Target, connect
from pipeline.cli._output import paint

ROOT = Path(__file__).resolve().parent.parent
PIPELINE = [sys.executable, "-m", "pipeline"]
messages: list[str] = []


class SlackReceiver(BaseHTTPRequestHandler):
    """Keeps the text of what is posted, and answers as Slack does."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        messages.append(str(json.loads(body).get("text", "")))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the messages themselves are printed at the end."""


def step(title: str, *command: str, codes: tuple[int, ...] = (0,)) -> None:
    """Print a command, run it with its output shown, and stop the demo if it fails."""
    print(f"\n{paint(title, 'bold')}\n$ pipeline {shlex.join(command)}", flush=True)
    started = time.monotonic()
    code = subprocess.run([*PIPELINE, *command], cwd=ROOT, check=False).returncode
    print(f"  ({time.monotonic() - started:.1f} s)", flush=True)
    if code not in codes:
        print(
            f"\nerror: the demo stopped: 'pipeline {shlex.join(command)}' ended with {code}", file=sys.stderr
        )
        print("  hint: pipeline logs iris && pipeline local logs", file=sys.stderr)
        raise SystemExit(code)


def main() -> None:
    started = time.monotonic()
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), SlackReceiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{receiver.server_address[1]}/"

    step("1. An AWS endpoint on this machine", "local", "up")
    secret("ml/slack-webhook", url)
    step("2. What would change, then the change", "apply", "iris", "--yes")
    step("3. Yesterday's data, laid out by date", "data", "iris", "put")
    step("4. The gated execution", "run", "iris", "--force", "--follow")
    step("5. The same data again: nothing new", "run", "iris", "--follow")
    step("6. A prediction over HTTP", "invoke", "iris")

    print(f"\n{paint('What Slack was told', 'bold')}")
    for message in messages:
        print("  " + message.replace("\n", "\n    "))
    receiver.shutdown()
    print(f"\nDone in {time.monotonic() - started:.0f} s. Next:")
    for command, what in (
        ("pipeline status iris", "what runs, and which model"),
        ("pipeline graph iris --format svg --out build/iris.svg", "the state machine as a picture"),
        ("pipeline logs iris Train", "the training job's log"),
        ("pipeline plan iris", "after you changed something in pipeline/definitions/iris"),
        ("pipeline down iris", "remove what was made"),
        ("pipeline local down", "stop the local target"),
    ):
        print(f"  .venv/bin/{command:<53} {what}")


def secret(name: str, value: str) -> None:
    """Store the webhook URL as a user would: in Secrets Manager, through the AWS API."""
    environment = subprocess.run(
        [*PIPELINE, "local", "env", "--json"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    variables = json.loads(environment)
    account = variables["AWS_ACCESS_KEY_ID"]
    credentials = Credentials(account, variables["AWS_SECRET_ACCESS_KEY"])
    target = Target("local", variables["AWS_ENDPOINT_URL"], variables["AWS_REGION"], account, credentials)
    client = connect(target).secretsmanager
    try:
        client.create_secret(Name=name, SecretString=value)
    except client.exceptions.ResourceExistsException:
        client.put_secret_value(SecretId=name, SecretString=value)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
