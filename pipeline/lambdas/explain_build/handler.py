"""Says why a build of the image failed: its status, the phase and its context, and what it printed last.

Event: {"error": name, "cause": text} as a Task of `codebuild:startBuild.sync`, or the function start_build,
failed. The cause is the build's description as JSON, bare or as a Lambda error's message. Result: {"cause"}.

An explanation never fails for want of one: what cannot be read is said in its place.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError

LINES = 15
# A line that a program draws a progress bar with may be endless.
LONGEST_LINE = 300
# CodeBuild's log may be some seconds behind the build's end.
ATTEMPTS, PAUSE_SECONDS = 4, 1.5
# CodeBuild's own lines say nothing about why a command failed.
_OWN = ("[Container]", "Running command ", "Phase complete:", "Phase context status code:", "Phase is ")


# --- pure ---------------------------------------------------------------------------------------------------


def build_of(cause: str) -> dict[str, Any]:
    """The build that a cause describes; {} where it describes none."""
    try:
        said = json.loads(cause)
        if isinstance(said, dict) and "errorMessage" in said:
            said = json.loads(said["errorMessage"])
    except (ValueError, TypeError):
        return {}
    found = said.get("Build", said) if isinstance(said, dict) else None
    return found if isinstance(found, dict) and "BuildStatus" in found else {}


def failed_phase(build: Mapping[str, Any]) -> tuple[str, str]:
    """(name, what CodeBuild says of it) of the first phase that did not succeed; "" for what is not there."""
    for phase in build.get("Phases") or []:
        if phase.get("PhaseStatus") not in (None, "SUCCEEDED"):
            contexts = phase.get("Contexts") or []
            said = [f"{c.get('StatusCode') or ''}: {c.get('Message') or ''}".strip(": ") for c in contexts]
            return str(phase.get("PhaseType", "")), "; ".join(filter(None, said))
    return "", ""


def telling(messages: Iterable[str]) -> list[str]:
    """The last lines that a command printed."""
    lines = [message.rstrip()[:LONGEST_LINE] for message in messages]
    own = [line for line in lines if line and not line.startswith(_OWN)]
    return (own or [line for line in lines if line])[-LINES:]


def explained(build: Mapping[str, Any], lines: Iterable[str]) -> str:
    """A sentence about the build's end, the log's last lines below it."""
    phase, said = failed_phase(build)
    status = str(build.get("BuildStatus", "FAILED"))
    words = {
        "STOPPED": "was stopped",
        "TIMED_OUT": "took too long",
        "FAULT": "broke off by CodeBuild's own fault",
    }
    text = f"build {build.get('Id', '?')} {words.get(status, 'failed')}"
    text += f" in {phase}" if phase else ""
    text += f": {said}" if said else ""
    printed = "\n".join(f"    {line}" for line in lines)
    return f"{text}\n{printed}" if printed else text


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service)


def last_lines(build: Mapping[str, Any]) -> list[str]:
    """What the build printed last; [] where it has no log, or none that can be read."""
    logs = build.get("Logs") or {}
    group, stream = logs.get("GroupName"), logs.get("StreamName")
    if not group or not stream:
        return []
    lines: list[str] = []
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            found = client("logs").get_log_events(
                logGroupName=group, logStreamName=stream, limit=10 * LINES, startFromHead=False
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                continue
            return [f"(its log {group} {stream} cannot be read: {error})"]
        messages = [event["message"] for event in found["events"]]
        lines = telling(messages)
        if any(str(build.get("BuildStatus")) in message for message in messages):
            break
    return lines


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """The cause in words for people."""
    cause = str(event.get("cause", ""))
    build = build_of(cause)
    if not build:
        return {"cause": f"the image could not be built: {event.get('error', '')}: {cause}"}
    text = explained(build, last_lines(build))
    print(json.dumps({"event": "explained", "build": build.get("Id"), "cause": text}))
    return {"cause": text}
