"""A person's decision on a model, sent to the run that waits for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, told
from pipeline.errors import ExecutionError
from pipeline.execution import start
from pipeline.names import Names

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# Limit of SendTaskFailure's cause.
MAX_CAUSE = 32_768


def decide(
    settings: Settings, clients: Clients, which: str | None, *, approved: bool, reason: str = ""
) -> dict[str, str]:
    """Answer the request of the run `which` (ARN or name; None: the only one that waits).

    Returns:
        execution (name), decision, model_package_arn (may be empty), reason.

    Raises:
        ExecutionError: nothing waits, several wait and none was named, or the run waits no longer.
    """
    with told(clients.target.name):
        waiting = pending(settings, clients)
        if which is not None:
            name = start.find(settings, clients, which).name
            waiting = {name: waiting[name]} if name in waiting else {}
        if not waiting:
            raise ExecutionError(
                f"{which or 'no run'} waits for an approval"
                if not which
                else f"{which} waits for no approval",
                where=settings.stack_name,
                hint=f"pipeline status {settings.name}",
            )
        if len(waiting) > 1:
            raise ExecutionError(
                f"{len(waiting)} runs wait: {', '.join(sorted(waiting))}",
                where=settings.stack_name,
                hint="name one with --execution",
            )
        ((name, request),) = waiting.items()
        model = str(request.get("model_package_arn") or "")
        answer = {
            "execution": name,
            "decision": "approved" if approved else "rejected",
            "model_package_arn": model,
            "reason": reason,
        }
        try:
            if approved:
                clients.stepfunctions.send_task_success(
                    taskToken=request["task_token"], output=json.dumps({"approved": True, "reason": reason})
                )
            else:
                cause = f"rejected by a person: {reason or 'no reason given'}"
                clients.stepfunctions.send_task_failure(
                    taskToken=request["task_token"], error="ApprovalRejected", cause=cause[:MAX_CAUSE]
                )
        except ClientError as error:
            if code(error) in {"TaskTimedOut", "TaskDoesNotExist"}:
                raise ExecutionError(
                    f"{name} waits no longer: it was answered, stopped, or its time was over",
                    where=settings.stack_name,
                    hint=f"pipeline status {settings.name}",
                ) from error
            raise
        clients.s3.delete_object(Bucket=settings.artifact_bucket, Key=_key(settings, name))
    return answer


def pending(settings: Settings, clients: Clients) -> dict[str, dict[str, Any]]:
    """Requests of runs that still run, by execution name."""
    running = {
        summary["name"]
        for page in clients.stepfunctions.get_paginator("list_executions").paginate(
            stateMachineArn=start.machine_arn(settings), statusFilter="RUNNING"
        )
        for summary in page["executions"]
    }
    found = {}
    for name in running:
        try:
            held = clients.s3.get_object(Bucket=settings.artifact_bucket, Key=_key(settings, name))
        except ClientError as error:
            if code(error) in {"NoSuchKey", "NoSuchBucket"}:
                continue
            raise
        found[name] = dict(json.loads(held["Body"].read()))
    return found


def _key(settings: Settings, execution: str) -> str:
    return f"{Names.of(settings).approvals_prefix}/{execution}.json"
