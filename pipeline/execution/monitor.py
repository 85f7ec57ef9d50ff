"""Comparisons of requests with the training data: started by hand, and what the last ones found."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, told
from pipeline.errors import ExecutionError, SettingsError
from pipeline.execution import judged
from pipeline.execution.start import Started
from pipeline.names import Names

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# The ends of the state machine, in words.
ENDS = {
    "NotCompared": "nothing to compare",
    "TooFewRequests": "too few requests to tell",
    "NoDrift": "no drift",
    "DriftTold": "drift; no run was started",
    "RunStartedAlready": "drift; another comparison started the run",
    "Succeeded": "drift; a run was started",
}


def moment(text: str) -> str:
    """`30s`, `30m`, `2h`, `1d` or an ISO time, as an ISO time.

    Raises:
        SettingsError: none of these.
    """
    if len(text) > 1 and text[:-1].isdigit() and text[-1] in _UNITS:
        return (datetime.now(UTC) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})).isoformat()
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"no time: {text!r}", where="--since", hint="2h, 30m, 1d, or an ISO time"
        ) from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def start(settings: Settings, clients: Clients, since: str | None = None) -> Started:
    """Compare now.

    Args:
        since: see `moment`; None: the settings' window.

    Raises:
        ExecutionError: the pipeline has no [monitor], or it is not deployed.
    """
    if settings.pipeline.monitor is None:
        raise ExecutionError(
            "nothing is monitored",
            where=f"{settings.name} in {settings.environment_name}",
            hint="add [monitor] to settings.toml (docs/how-to/monitor.md), then apply",
        )
    data = {} if since is None else {"SINCE": moment(since)}
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    try:
        with told(clients.target.name):
            made = clients.stepfunctions.start_execution(
                stateMachineArn=Names.of(settings).monitor_arn, name=name, input=json.dumps(data)
            )
    except ClientError as error:
        if code(error) not in {"StateMachineDoesNotExist", "StateMachineDeleting"}:
            raise
        raise ExecutionError(
            f"{Names.of(settings).monitor} is not deployed here",
            where=f"target {clients.target.name}",
            hint=f"pipeline apply {settings.name} -e {settings.environment_name}",
        ) from error
    return Started(made["executionArn"], name, data, attached=False)


def last(settings: Settings, clients: Clients) -> dict[str, Any] | None:
    """The newest comparison that ended, as `of` gives it; None: there is none."""
    if settings.pipeline.monitor is None:
        return None
    try:
        found = clients.stepfunctions.list_executions(
            stateMachineArn=Names.of(settings).monitor_arn, maxResults=20
        )["executions"]
    except ClientError as error:
        if code(error) == "StateMachineDoesNotExist":
            return None
        raise
    ended = [each for each in found if each["status"] != "RUNNING"]
    if not ended:
        return None
    newest = max(ended, key=lambda each: each["startDate"])
    return of(clients, newest["executionArn"])


def of(clients: Clients, arn: str) -> dict[str, Any]:
    """One comparison: execution, arn, status, started, said (in words), drift, comparison, verdict, run."""
    found = clients.stepfunctions.describe_execution(executionArn=arn)
    output = json.loads(found.get("output") or "{}")
    comparison, verdict = output.get("comparison", {}), output.get("verdict", {})
    started = output.get("run", {}).get("ExecutionArn", "")
    said = _said(found, comparison, verdict, output)
    return {
        "execution": found["name"],
        "arn": arn,
        "status": found["status"],
        "started": found["startDate"],
        "said": said + (_followed(clients, started) if started else ""),
        "drift": bool(verdict.get("drift")),
        "comparison": comparison,
        "verdict": verdict,
        "run": started,
    }


def _followed(clients: Clients, arn: str) -> str:
    """What else is to be said of a run that drift started: that it found nothing to train on."""
    try:
        run = clients.stepfunctions.describe_execution(executionArn=arn)
    except ClientError as error:
        # Step Functions forgets after 90 days.
        if code(error) != "ExecutionDoesNotExist":
            raise
        return ""
    checked = judged.checked(run.get("output", ""))
    return f", and ended: {checked.get('reason', '')}" if checked.get("new") is False else ""


def _said(found: dict[str, Any], comparison: dict[str, Any], verdict: dict[str, Any], output: Any) -> str:
    if found["status"] != "SUCCEEDED":
        return f"{found['status']}: {found.get('error', '')} {found.get('cause', '')[:200]}".strip()
    if not comparison.get("ready"):
        return f"{ENDS['NotCompared']}: {comparison.get('reason', '')}"
    if not verdict.get("enough"):
        return f"{ENDS['TooFewRequests']}: {verdict.get('records')} records, of {verdict.get('minimum')}"
    if not verdict.get("drift"):
        return f"{ENDS['NoDrift']} in {verdict.get('records')} records"
    features = verdict.get("features", "")
    if output.get("run", {}).get("ExecutionArn"):
        return f"drift of {features}: run {verdict['name']} was started"
    return f"drift of {features}: no run, {verdict.get('why')}"


def report(clients: Clients, found: dict[str, Any]) -> dict[str, Any] | None:
    """report.json of a comparison; None where none was made."""
    place = urlsplit(found["comparison"].get("output", ""))
    if not place.netloc:
        return None
    try:
        answer = clients.s3.get_object(Bucket=place.netloc, Key=f"{place.path[1:]}/report.json")
    except ClientError as error:
        if code(error) in {"NoSuchKey", "404"}:
            return None
        raise
    data: dict[str, Any] = json.loads(answer["Body"].read())
    return data


def page(clients: Clients, found: dict[str, Any]) -> str:
    """report.html of a comparison; "" where none was made."""
    place = urlsplit(found["comparison"].get("output", ""))
    if not place.netloc:
        return ""
    answer = clients.s3.get_object(Bucket=place.netloc, Key=f"{place.path[1:]}/report.html")
    return str(answer["Body"].read().decode())
