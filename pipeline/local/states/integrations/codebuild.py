"""codebuild:startBuild: request-response, and to the build's end; the other calls request-response.

Which APIs and patterns there are, and that the role needs StartBuild, StopBuild, BatchGetBuilds and the rule
that AWS manages: https://docs.aws.amazon.com/step-functions/latest/dg/connect-codebuild.html
"""

from __future__ import annotations

from typing import Any

from pipeline.local.states.integrations import api
from pipeline.local.states.integrations.base import Integration
from pipeline.local.states.integrations.waiting import Job, run_job
from pipeline.local.states.taskcall import REQUEST, SYNC, Resource, TaskCall

STYLE = api.optimised("codebuild", "CodeBuild", "AWSCodeBuild")
# Batches and reports are not to be had here, so a state machine that calls them is refused when it is made.
_APIS = frozenset({"startBuild", "stopBuild", "batchDeleteBuilds"})


def _key(parameters: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    return {"Ids": [response["build"]["id"]]}


_BUILD = Job(
    describe="BatchGetBuilds",
    within="Builds",
    called="Build",
    key=_key,
    status="BuildStatus",
    succeeded=frozenset({"SUCCEEDED"}),
    failed=frozenset({"FAILED", "FAULT", "STOPPED", "TIMED_OUT"}),
    stop="StopBuild",
    stop_key=lambda key: {"Id": key["Ids"][0]},
    rule="StepFunctionsGetEventForCodeBuildStartBuildRule",
)


class CodeBuild(Integration):
    """CodeBuild's optimised integration."""

    def supports(self, resource: Resource) -> bool:
        patterns = (REQUEST, SYNC) if resource.api == "startBuild" else (REQUEST,)
        return resource.api in _APIS and resource.pattern in patterns

    def managed_rule(self, resource: Resource) -> str:
        return _BUILD.rule if resource.pattern == SYNC else ""

    def run(self, call: TaskCall) -> Any:
        if call.resource.pattern == SYNC:
            return run_job(call, STYLE, _BUILD, call.parameters)
        return api.request(call, STYLE, call.resource.api, call.parameters)


CODEBUILD = CodeBuild()
