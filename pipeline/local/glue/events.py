"""EventBridge is told when a run ends: `Glue Job State Change`, as AWS sends it.

AWS sends it for SUCCEEDED, FAILED, TIMEOUT and STOPPED
(https://docs.aws.amazon.com/glue/latest/dg/automating-awsglue-with-cloudwatch-events.html).
"""

from __future__ import annotations

import json
import logging

from pipeline.local.glue.store import Record

log = logging.getLogger(__name__)

_SEVERITY = {"SUCCEEDED": "INFO", "STOPPED": "INFO", "TIMEOUT": "WARN", "FAILED": "ERROR"}
_MESSAGE = {
    "SUCCEEDED": "Job run succeeded",
    "STOPPED": "Job run stopped",
    "TIMEOUT": "Job run timed out",
}


def entry(run: Record) -> dict[str, str] | None:
    """The event of a run that ended, as PutEvents takes it; None for a state that AWS does not tell."""
    state = run["JobRunState"]
    if state not in _SEVERITY:
        return None
    detail = {
        "jobName": run["JobName"],
        "severity": _SEVERITY[state],
        "state": state,
        "jobRunId": run["Id"],
        "message": _MESSAGE.get(state) or run.get("ErrorMessage", ""),
    }
    return {"Source": "aws.glue", "DetailType": "Glue Job State Change", "Detail": json.dumps(detail)}


def emit(run: Record) -> None:
    """Put the event on the default bus of the account and region that this context belongs to."""
    made = entry(run)
    if made is None:
        return
    try:
        from ministack.services import eventbridge

        eventbridge._put_events({"Entries": [made]}, allow_aws_source=True)
    except Exception:
        # AWS sends events as best it can, and no run fails for one.
        log.exception("no event of %s", run["Id"])
