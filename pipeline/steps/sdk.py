"""The one module that imports the stepfunctions and sagemaker SDKs, with what they lack mended.

The SDKs' steps cannot say ResultSelector, ErrorPath, MaxDelaySeconds or JitterStrategy, and leave out
parts of the API's requests without a word. The classes here are theirs plus that; blocks use these, and a
definition may use either.
"""

from __future__ import annotations

import functools
from typing import Any

import sagemaker
from sagemaker import image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.processing import ProcessingInput, ProcessingOutput, Processor
from stepfunctions import steps
from stepfunctions.steps import integration_resources
from stepfunctions.steps.choice_rule import ChoiceRule
from stepfunctions.steps.states import Graph, State

from pipeline.errors import DefinitionError

__all__ = [
    "Catch",
    "Chain",
    "Choice",
    "ChoiceRule",
    "EndpointConfigStep",
    "EndpointStep",
    "Estimator",
    "Fail",
    "Gateway",
    "Graph",
    "LambdaStep",
    "Parallel",
    "Pass",
    "ProcessingInput",
    "ProcessingOutput",
    "ProcessingStep",
    "Processor",
    "Retry",
    "State",
    "Succeed",
    "Task",
    "TrainingInput",
    "TrainingStep",
    "Wait",
    "algorithm_image",
    "integration_arn",
    "offline_session",
]

# Asks botocore for every region of every partition at each step otherwise: seconds for a pipeline.
integration_resources.get_aws_partition = functools.cache(integration_resources.get_aws_partition)


def integration_arn(name: str) -> str:
    """`arn:<partition>:states:::<name>`, in the partition of the region that is rendered for."""
    return f"arn:{integration_resources.get_aws_partition()}:states:::{name}"


@functools.cache
def algorithm_image(name: str, version: str, region: str) -> str:
    """URI of a built-in algorithm's image in AWS's own registry of the region; nothing is asked of AWS.

    Raises:
        DefinitionError: AWS has no such image there.
    """
    try:
        return str(image_uris.retrieve(name, region, version=version, image_scope="training"))
    except ValueError as error:
        raise DefinitionError(f"no image of {name} {version} in {region}: {error}") from error


Chain = steps.Chain
Choice = steps.Choice
Pass = steps.Pass
Succeed = steps.Succeed
Wait = steps.Wait
Catch = steps.Catch


class _Mended:
    """Mixin: a step that may carry a ResultSelector and whose request may be corrected after the SDK."""

    result_selector: dict[str, Any] | None = None
    fields: dict[str, Any]

    def select(self, selector: dict[str, Any]) -> Any:
        """Keep only these of the result's fields (keys end in `.$`); returns the step."""
        self.result_selector = selector
        return self

    def amend(self, changes: dict[str, Any], *, drop: tuple[str, ...] = ()) -> Any:
        """Set request fields that the SDK left out or got wrong; returns the step."""
        parameters = {key: value for key, value in self.fields["parameters"].items() if key not in drop}
        self.fields["parameters"] = {**parameters, **changes}
        return self

    def to_dict(self) -> dict[str, Any]:
        result: dict[str, Any] = super().to_dict()  # type: ignore[misc]
        if self.result_selector is not None:
            result["ResultSelector"] = self.result_selector
        return result


class Task(_Mended, steps.Task):
    """Any service by its ARN."""


class Parallel(_Mended, steps.Parallel):
    """Branches at the same time; its result is the list of theirs."""


class LambdaStep(_Mended, steps.LambdaStep):
    """`lambda:invoke`."""


class TrainingStep(_Mended, steps.TrainingStep):
    """`sagemaker:createTrainingJob.sync`."""


class ProcessingStep(_Mended, steps.ProcessingStep):
    """`sagemaker:createProcessingJob.sync`."""


class EndpointConfigStep(_Mended, steps.EndpointConfigStep):
    """`sagemaker:createEndpointConfig`."""


class EndpointStep(_Mended, steps.EndpointStep):
    """`sagemaker:createEndpoint` or `updateEndpoint`."""


class Retry(steps.Retry):
    """A Retry with a ceiling on its interval and full jitter, so that parallel runs do not retry in step."""

    def __init__(self, *, max_delay_seconds: int, **fields: Any) -> None:
        super().__init__(**fields)
        self.max_delay_seconds = max_delay_seconds

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "MaxDelaySeconds": self.max_delay_seconds, "JitterStrategy": "FULL"}


class Fail(steps.Fail):
    """A Fail whose error or cause may come from the state's data: a path (`$.error.Cause`) or a text."""

    def to_dict(self) -> dict[str, Any]:
        result: dict[str, Any] = super().to_dict()
        for name in ("Error", "Cause"):
            if str(result.get(name, "")).startswith("$"):
                result[f"{name}Path"] = result.pop(name)
        return result


class Gateway(steps.Choice):
    """A Choice that lets a run go on only when `rule` holds; everything else goes to `otherwise`.

    The SDK makes a chain's next step the *default*, so that whatever no rule foresaw would pass.
    """

    def __init__(self, state_id: str, rule: Any, otherwise: Any, **fields: Any) -> None:
        super().__init__(state_id, **fields)
        self.rule = rule
        self.choices: list[Any] = []
        self.default_choice(otherwise)

    def next(self, next_step: Any) -> Any:
        # Chains in chains call this once each, for the same step.
        self.choices = [choice for choice in self.choices if choice[0] is not self.rule]
        self.add_choice(self.rule, next_step)
        return next_step


class _OfflineSession(sagemaker.Session):
    """A session that asks AWS nothing; a local `source_dir` would be uploaded, so that is refused."""

    def default_bucket(self) -> str:
        return str(self._default_bucket)

    def upload_data(self, *_: Any, **__: Any) -> str:
        raise ValueError("rendering uploads nothing: put the code into the container, or give an s3:// URI")


@functools.cache
def offline_session(region: str, bucket: str) -> sagemaker.Session:
    """A SageMaker session for `region` that never leaves this machine."""
    import boto3

    return _OfflineSession(boto_session=boto3.Session(region_name=region), default_bucket=bucket)
