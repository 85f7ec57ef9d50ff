"""states:startExecution: another state machine, by request, by task token, or to its end."""

from __future__ import annotations

import json
from typing import Any

from pipeline.local.states.integrations import api
from pipeline.local.states.integrations.base import Integration
from pipeline.local.states.integrations.waiting import Job, from_token, run_job
from pipeline.local.states.taskcall import REQUEST, SYNC, SYNC_2, TOKEN, Resource, TaskCall

STYLE = api.optimised("stepfunctions", "StepFunctions", "AWSStepFunctions")
JOB = Job(
    describe="DescribeExecution",
    key=lambda _parameters, response: {"executionArn": response["executionArn"]},
    status="Status",
    succeeded=frozenset({"SUCCEEDED"}),
    failed=frozenset({"FAILED", "TIMED_OUT", "ABORTED"}),
    stop="StopExecution",
    rule="StepFunctionsGetEventsForStepFunctionsExecutionRule",
    # What DescribeExecution had when AWS made the integration.
    members=frozenset(
        {
            "Cause",
            "Error",
            "ExecutionArn",
            "Input",
            "InputDetails",
            "Name",
            "Output",
            "OutputDetails",
            "StartDate",
            "StateMachineArn",
            "Status",
            "StopDate",
        }
    ),
)


class States(Integration):
    """Step Functions' own integration. `.sync:2` gives the child's output as JSON, `.sync` as text."""

    def supports(self, resource: Resource) -> bool:
        return resource.api == "startExecution" and resource.pattern in (REQUEST, SYNC, SYNC_2, TOKEN)

    def managed_rule(self, resource: Resource) -> str:
        return JOB.rule if resource.pattern in (SYNC, SYNC_2) else ""

    def run(self, call: TaskCall) -> Any:
        if call.resource.pattern in (SYNC, SYNC_2):
            value = run_job(call, STYLE, JOB, call.parameters)
            if call.resource.pattern == SYNC_2:
                parsed = {
                    key: json.loads(value[key])
                    for key in ("Input", "Output")
                    if isinstance(value.get(key), str)
                }
                value = {**value, **parsed}
            return value
        response = api.request(call, STYLE, call.resource.api, call.parameters)
        if call.resource.pattern == TOKEN:
            call.submitted(response)
            return from_token(call)
        return response


STATES = States()
