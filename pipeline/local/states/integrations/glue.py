"""glue:startJobRun: request-response, and to the run's end.

AWS: "The JobName field is extracted from the request and inserted into the response, which normally only
contains JobRunID"; with .sync the output is the JobRun structure. Step Functions polls GetJobRun: there is no
managed EventBridge rule, and the role needs StartJobRun, GetJobRun, GetJobRuns and BatchStopJobRun.
https://docs.aws.amazon.com/step-functions/latest/dg/connect-glue.html
"""

from __future__ import annotations

from typing import Any

from pipeline.local.states.integrations import api
from pipeline.local.states.integrations.base import Integration
from pipeline.local.states.integrations.waiting import Job, from_token, run_job
from pipeline.local.states.taskcall import REQUEST, SYNC, TOKEN, Resource, TaskCall

STYLE = api.optimised("glue", "Glue", "AWSGlue")
_API = "startJobRun"


def _key(parameters: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    return {"JobName": parameters.get("JobName"), "RunId": response["JobRunId"]}


def _stop(key: dict[str, Any]) -> dict[str, Any]:
    return {"JobName": key["JobName"], "JobRunIds": [key["RunId"]]}


def _with_name(call: TaskCall, response: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted({**response, "JobName": call.parameters.get("JobName")}.items()))


_RUN = Job(
    describe="GetJobRun",
    within="JobRun",
    key=_key,
    status="JobRunState",
    succeeded=frozenset({"SUCCEEDED"}),
    failed=frozenset({"FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED"}),
    stop="BatchStopJobRun",
    stop_key=_stop,
    submitted=_with_name,
)


class Glue(Integration):
    """Glue's optimised integration."""

    def supports(self, resource: Resource) -> bool:
        return resource.api == _API and resource.pattern in (REQUEST, SYNC, TOKEN)

    def run(self, call: TaskCall) -> Any:
        if call.resource.pattern == SYNC:
            return run_job(call, STYLE, _RUN, call.parameters)
        response = _with_name(call, api.request(call, STYLE, _API, call.parameters))
        if call.resource.pattern == TOKEN:
            call.submitted(response)
            return from_token(call)
        return response


GLUE = Glue()
