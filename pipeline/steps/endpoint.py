"""Watching an endpoint: every status of the API, a bounded wait, and no rollback taken for a success.

Waiting grows by a second each time (1, 2, 3 ...), so that a quick target is not slept away and a slow one
not polled to death. SageMaker ends every change itself, at the latest by its time limits for download and
start, an hour each, and a rollout by its own; the number of polls is for the day it does not. Step Functions
has no `.sync` for endpoints.
"""

from __future__ import annotations

import math
from typing import Any

from pipeline.steps import retry
from pipeline.steps.block import CALL_SECONDS, Failure, call, forgive
from pipeline.steps.intrinsics import fmt, plus_one
from pipeline.steps.rollout import alarm_kinds
from pipeline.steps.sdk import Chain, Choice, ChoiceRule, EndpointStep, Gateway, Pass, Task, Wait
from pipeline.steps.tripped import tripped
from pipeline.steps.view import Settings

# Download and start of a container may take an hour each; twice, for a rollback.
STARTING_SECONDS = 4 * 3600

# Every EndpointStatus of the API, by what can be done with the endpoint; a test compares with botocore.
SERVING = ("InService",)
IMPAIRED = ("OutOfService", "UpdateRollbackFailed")  # an update is the way out of both
IN_MOTION = ("Creating", "Updating", "SystemUpdating", "RollingBack")
GOING_AWAY = ("Deleting",)
BROKEN = ("Failed",)  # can only be deleted


# SageMaker's words where it has no error name; recorded in many public reports and in AWS's own operator
# (github.com/aws/amazon-sagemaker-operator-for-k8s, clientwrapper).
NOT_FOUND = "Could not find endpoint"
IN_PROGRESS = "Cannot update in-progress endpoint"
EXISTS = "Cannot create already existing endpoint"
OPTIMISED, AWS_SDK = "SageMaker.AmazonSageMakerException", "SageMaker.SageMakerException"


def max_polls(settings: Settings) -> int:
    """How often an endpoint is looked at until it is given up: waits of 1, 2, 3 ... s outlast a rollout."""
    seconds = STARTING_SECONDS + settings.environment.rollout.maximum_seconds
    return math.ceil(math.sqrt(2 * seconds))


def wait_seconds(settings: Settings) -> int:
    """Seconds that all looks at an endpoint may take."""
    return max_polls(settings) * (max_polls(settings) + 1) // 2


def endpoint_step(
    state_id: str, name: str, config_name: str, more: dict[str, Any], *, update: bool
) -> EndpointStep:
    """CreateEndpoint or UpdateEndpoint; `$.deployment` says which, and counts the looks at it from 0."""
    # UpdateEndpoint takes no tags: the endpoint keeps those it was created with.
    step = EndpointStep(
        state_id,
        endpoint_name=name,
        endpoint_config_name="unused",
        update=update,
        timeout_seconds=CALL_SECONDS,
        retry=retry.for_sagemaker(),
        result_path="$.deployment",
    )
    return step.amend({"EndpointConfigName.$": config_name, **more}, drop=("EndpointConfigName",)).select(
        {"EndpointArn.$": "$.EndpointArn", "change": "update" if update else "create", "polls": 0}
    )


def finding(
    settings: Settings, name: str, create: EndpointStep, update: EndpointStep, watch: Task
) -> list[Any]:
    """States that end where the endpoint `name` exists and takes an update; `$.before` is what it was.

    Where there is none, `create` is next; where it runs what was asked for already, `watch`.
    """
    path = "$.before.EndpointStatus"
    describe = call(
        "DescribeEndpoint",
        "sagemaker",
        "describeEndpoint",
        {"EndpointName": name},
        comment="Is there one already, and may it be changed now?",
        # 'Not found' has no error name of its own, so it must not be retried as one of the unnamed.
        retry=retry.for_aws_sdk("sagemaker", unnamed=False),
        result_path="$.before",
    )
    forgive(describe, AWS_SDK, {NOT_FOUND: create})

    wait = _waiting("WaitForOthers", describe)
    delete = call(
        "DeleteFailedEndpoint",
        "sagemaker",
        "deleteEndpoint",
        {"EndpointName": name},
        comment="A failed endpoint serves nobody and can only be deleted.",
        result_path=None,
    )
    delete.next(wait)
    forgive(delete, AWS_SDK, {IN_PROGRESS: wait, NOT_FOUND: wait})
    # Another run was faster, or the answer to our own call was lost: look again.
    forgive(update, OPTIMISED, {IN_PROGRESS: wait})
    forgive(create, OPTIMISED, {EXISTS: wait})
    busy = Failure("EndpointBusy", fmt(f"Endpoint {name} stayed {{}} and could not be updated", path))
    odd = Failure("EndpointNotDeployable", fmt(f"Endpoint {name} has the unknown status {{}}", path))

    ready = Gateway("EndpointTakesUpdates", _is(path, *SERVING, *IMPAIRED), otherwise=odd)
    ready.add_choice(_gave_up(settings, path, *IN_MOTION, *GOING_AWAY, *BROKEN), busy)
    ready.add_choice(_is(path, *IN_MOTION, *GOING_AWAY), wait)
    ready.add_choice(_is(path, *BROKEN), delete)
    ready.add_choice(ChoiceRule.And([_is(path, *SERVING), _runs_ours("$.before")]), watch)
    return [describe, ready]


def watching(settings: Settings, name: str) -> tuple[Task, list[Any]]:
    """The state to enter after a change, and the states from there to an endpoint that runs our config."""
    path = "$.endpoint.EndpointStatus"
    describe = call(
        "WatchEndpoint", "sagemaker", "describeEndpoint", {"EndpointName": name}, result_path="$.endpoint"
    )
    wait = _waiting("WaitForEndpoint", describe)
    late = Failure(
        "EndpointTimedOut",
        fmt(f"Endpoint {name} is still {{}} after {max_polls(settings)} looks at it", path),
    )
    bad, bad_why = _with_reason("EndpointFailed", f"Endpoint {name} is {{}} instead of InService", path)
    ended = _is(path, *BROKEN, *GOING_AWAY, *IMPAIRED)
    in_service = Gateway("EndpointInService", _is(path, *SERVING), otherwise=bad)
    in_service.add_choice(_gave_up(settings, path, *IN_MOTION), late)
    in_service.add_choice(_is(path, *IN_MOTION), wait)
    in_service.add_choice(ChoiceRule.And([_HAS_REASON, ended]), bad_why)
    in_service.add_choice(ended, bad)

    same = _runs_ours("$.endpoint")
    back, back_why = _with_reason(
        "EndpointRolledBack",
        f"Endpoint {name} is InService with {{}} instead of the requested {{}}: the update was rolled back",
        "$.endpoint.EndpointConfigName",
        "$.requested.EndpointConfigName",
    )
    # Runs for two dates may meet here: what runs is neither ours nor what a rollback would bring back.
    config = "$.before.EndpointConfigName"
    before = ChoiceRule.And(
        [
            ChoiceRule.IsPresent(variable=config, value=True),
            ChoiceRule.StringEqualsPath(variable="$.endpoint.EndpointConfigName", value=config),
        ]
    )
    superseded = Failure(
        "EndpointSuperseded",
        fmt(
            f"Endpoint {name} runs {{}}, which another run put in the place of {{}}",
            "$.endpoint.EndpointConfigName",
            "$.requested.EndpointConfigName",
        ),
    )
    why = Choice("RollbackSaysWhy")
    why.add_choice(_HAS_REASON, back_why)
    why.default_choice(back)
    taken_back = tripped(name, why) if alarm_kinds(settings) else why
    ours = Gateway("EndpointRunsRequestedConfig", same, otherwise=taken_back)
    ours.add_choice(ChoiceRule.And([ChoiceRule.Not(same), ChoiceRule.Not(before)]), superseded)
    return describe, [in_service, ours]


def _runs_ours(endpoint: str) -> Any:
    return ChoiceRule.StringEqualsPath(
        variable=f"{endpoint}.EndpointConfigName", value="$.requested.EndpointConfigName"
    )


_HAS_REASON = ChoiceRule.IsPresent(variable="$.endpoint.FailureReason", value=True)


def _with_reason(error: str, text: str, *paths: str) -> tuple[Failure, Failure]:
    """The same failure without and with SageMaker's FailureReason, which is there only sometimes."""
    plain = Failure(error, fmt(text, *paths))
    why = Failure(f"{error}Because", fmt(f"{text}. {{}}", *paths, "$.endpoint.FailureReason"), error=error)
    return plain, why


def _is(path: str, *statuses: str) -> Any:
    rules = [ChoiceRule.StringEquals(variable=path, value=status) for status in statuses]
    return rules[0] if len(rules) == 1 else ChoiceRule.Or(rules)


def _gave_up(settings: Settings, path: str, *statuses: str) -> Any:
    enough = ChoiceRule.NumericGreaterThanEquals(variable="$.deployment.polls", value=max_polls(settings))
    return ChoiceRule.And([enough, _is(path, *statuses)])


def _waiting(state_id: str, again: Any) -> Pass:
    """Count one more poll, sleep that many seconds, then `again`; returns the first of the two states."""
    count = Pass(
        f"Count{state_id}",
        parameters={"polls.$": plus_one("$.deployment.polls"), "change.$": "$.deployment.change"},
        result_path="$.deployment",
    )
    Chain([count, Wait(state_id, seconds_path="$.deployment.polls"), again])
    return count
