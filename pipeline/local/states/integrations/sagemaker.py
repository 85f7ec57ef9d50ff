"""sagemaker:<api>: models and endpoints request-response, jobs to their end as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.local.states.integrations import api
from pipeline.local.states.integrations.base import Integration
from pipeline.local.states.integrations.waiting import Job, from_token, run_job
from pipeline.local.states.taskcall import REQUEST, SYNC, TOKEN, Resource, TaskCall

STYLE = api.optimised("sagemaker", "SageMaker", "AmazonSageMaker")


def _tags(call: TaskCall, parameters: dict[str, Any]) -> dict[str, Any]:
    """A .sync result also has the job's tags, as a map."""
    return {"Tags": {tag["Key"]: tag["Value"] for tag in _tagged(call, parameters)["Tags"]}}


def _tagged(call: TaskCall, parameters: Any) -> dict[str, Any]:
    """The parameters with the tags by which Step Functions knows the jobs it started."""
    own = [
        {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"},
        {"Key": "AWS_STEP_FUNCTIONS_EXECUTION_ARN", "Value": call.frame.run.arn},
    ]
    names = {tag["Key"] for tag in own}
    given = [tag for tag in parameters.get("Tags") or [] if tag.get("Key") not in names]
    return {**parameters, "Tags": given + own}


def _named(member: str) -> Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]:
    return lambda parameters, _response: {member: parameters.get(member)}


def _job(kind: str, rule: str) -> Job:
    """SageMaker's jobs are alike: Describe<kind>, Stop<kind>, <kind>Name, <kind>Status."""
    return Job(
        describe=f"Describe{kind}",
        key=_named(f"{kind}Name"),
        status=f"{kind}Status",
        succeeded=frozenset({"Completed"}),
        failed=frozenset({"Failed", "Stopped"}),
        stop=f"Stop{kind}",
        rule=f"StepFunctionsGetEventsForSageMaker{rule}Rule",
        extra=_tags,
    )


# The integration's APIs: AWS, "Create and manage Amazon SageMaker AI jobs with Step Functions".
JOBS = {
    "createHyperParameterTuningJob": _job("HyperParameterTuningJob", "TuningJobs"),
    "createLabelingJob": _job("LabelingJob", "LabelingJobs"),
    "createProcessingJob": _job("ProcessingJob", "ProcessingJobs"),
    "createTrainingJob": _job("TrainingJob", "TrainingJobs"),
    "createTransformJob": _job("TransformJob", "TransformJobs"),
}
OTHERS = frozenset({"createEndpoint", "createEndpointConfig", "createModel", "updateEndpoint"})


class SageMaker(Integration):
    """SageMaker's optimised integration."""

    def supports(self, resource: Resource) -> bool:
        if resource.api in JOBS:
            return resource.pattern in (REQUEST, SYNC, TOKEN)
        return resource.api in OTHERS and resource.pattern in (REQUEST, TOKEN)

    def managed_rule(self, resource: Resource) -> str:
        return JOBS[resource.api].rule if resource.pattern == SYNC else ""

    def shown(self, call: TaskCall) -> Any:
        if call.resource.pattern == SYNC and isinstance(call.parameters, dict):
            return _tagged(call, call.parameters)
        return call.parameters

    def run(self, call: TaskCall) -> Any:
        if call.resource.pattern == SYNC:
            return run_job(call, STYLE, JOBS[call.resource.api], self.shown(call))
        response = api.request(call, STYLE, call.resource.api, call.parameters)
        if call.resource.pattern == TOKEN:
            call.submitted(response)
            return from_token(call)
        return response


SAGEMAKER = SageMaker()
