"""What blocks are made of: a chain of states, tasks with their timeout and retries, ways to fail."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import DefinitionError
from pipeline.functions import FUNCTIONS
from pipeline.names import Names
from pipeline.steps import retry
from pipeline.steps.sdk import Catch, Chain, Choice, ChoiceRule, LambdaStep, Pass, Task, integration_arn
from pipeline.steps.view import Settings

if TYPE_CHECKING:
    from pipeline.steps.route import Route

IMAGE = "${ImageUri}"
# Who starts a run may say of which commit; else it is the one that was applied.
APPLIED = {"GIT_SHA": "${GitSha}"}
# Overwritten before the request is rendered; the SDK's constructors insist on a value.
UNUSED = "s3://unused"
# An API call that only starts or reads something answers within seconds; this is for its worst day.
CALL_SECONDS = 60


@dataclass(frozen=True)
class Job:
    """How a block's SageMaker job is found again, and what its result is called.

    Args:
        fingerprint: the job's tag `fingerprint` is `$.run.fingerprints.<this>`.
        result: the block's result is at `$.<this>`; `$.reuse.<this>` says whether the block was skipped.
        kind: `training`, `tuning`, `processing`, `bundle`, `transform` (a Glue run) or `program` (a
            transform's processing job), for which the function find_reusable knows what the result is.
        model: for processing and bundle: the result of the block whose artifact the job must have read.
        output: for processing, bundle and program: the name of the output that holds what was made.
        after: for bundle: the result of the transform whose output the job must have read.
        within: where the result is at `$.<this>.<result>`.
        name: for a transform: the Glue job whose runs it is looked for among; for a tuning: what the names of
            its tuning jobs begin with.
    """

    fingerprint: str
    result: str
    kind: str
    model: str = ""
    output: str = ""
    within: str = ""
    name: str = ""
    after: str = ""

    def as_payload(self) -> dict[str, str]:
        found = asdict(self)
        return {key: value for key, value in found.items() if value or key not in ("within", "name", "after")}

    def tags(self, settings: Settings) -> list[dict[str, Any]]:
        """The pipeline's tags, and the one by which the job is found."""
        own = {"Key": "fingerprint", "Value.$": f"$.run.fingerprints.{self.fingerprint}"}
        return [*(tag for tag in tags(settings) if tag["Key"].lower() != "fingerprint"), own]


class Block(Chain):
    """Some states that belong together. Its first state is its entry, its last one goes on to the next block.

    A block is a `stepfunctions.steps.Chain`, so blocks and raw steps of the SDK mix freely.
    """

    # Seconds it may spend in Wait states, which no task's timeout counts.
    wait_seconds = 0
    # The job it runs, if that may be reused.
    job: Job | None = None

    def __init__(self, settings: Settings, steps: list[Any]) -> None:
        super().__init__(steps)
        self.settings = settings

    def connect(self, route: Route) -> None:
        """Lead to other blocks than the next one; called when all are known."""


class JoinsFailure(Pass):
    """A state that leads to the failure path, to which `Pipeline` connects it.

    Without one it would end the run as a success, hence the refusal.
    """

    def to_dict(self) -> dict[str, Any]:
        if self.next_step is None:
            raise DefinitionError(
                f"{self.state_id} has no failure path to join",
                hint="return Pipeline(settings, [...]) from define(), which adds it",
            )
        result: dict[str, Any] = super().to_dict()
        return result


class Failure(JoinsFailure):
    """A way to fail that is no Task's: gives the error its name and its cause (a text, a path or a call)."""

    def __init__(self, state_id: str, cause: str, *, error: str | None = None) -> None:
        key = "Cause.$" if cause.startswith(("States.", "$")) else "Cause"
        super().__init__(state_id, parameters={"Error": error or state_id, key: cause}, result_path="$.error")


class FailWithCaught(JoinsFailure):
    """Fails with an error that was caught into `path`, after something was done about it."""

    def __init__(self, state_id: str, path: str) -> None:
        super().__init__(state_id, input_path=path, result_path="$.error")


class Unheeded(LambdaStep):
    """A Lambda whose failure changes nothing: the run goes on either way."""

    def next(self, next_step: Any) -> Any:
        go_on(self, next_step)
        return next_step


def invoke(
    settings: Settings,
    state_id: str,
    folder: str,
    payload: dict[str, Any],
    *,
    cls: type[LambdaStep] = LambdaStep,
    **fields: Any,
) -> Any:
    """A Task that invokes the Lambda of `pipeline/lambdas/<folder>/`."""
    fields.setdefault("timeout_seconds", FUNCTIONS[folder].task_timeout_seconds)
    return cls(
        state_id,
        parameters={"FunctionName": Names.of(settings).function_arn(folder), "Payload": payload},
        retry=retry.for_lambda(),
        **fields,
    )


def call(state_id: str, service: str, action: str, parameters: dict[str, Any], **fields: Any) -> Task:
    """A Task that makes one call through the AWS SDK integration, such as `ssm`, `putParameter`."""
    fields.setdefault("retry", retry.for_aws_sdk(service))
    fields.setdefault("timeout_seconds", CALL_SECONDS)
    resource = integration_arn(f"aws-sdk:{service}:{action}")
    return Task(state_id, resource=resource, parameters=parameters, **fields)


def go_on(step: Any, next_step: Any) -> None:
    """Let `step` go to `next_step` whether it worked or not."""
    step.next_step = next_step
    step.catches = [catch for catch in step.catches if "States.ALL" not in catch.error_equals]
    step.add_catch(Catch(error_equals=["States.ALL"], next_step=next_step, result_path=None))


def forgive(step: Any, error: str, words: dict[str, Any]) -> None:
    """Where `step` fails with `error` in one of these words of AWS, go on to another state; else fail.

    What a repeated call meets (its own work, whose answer was lost, or another run that was faster) has no
    error name of its own in SageMaker.

    Args:
        words: text that the cause holds -> state to go on to.
    """
    path = "$.refused"
    refused = Choice(f"{step.state_id}Refused", comment="Only AWS's own words count.")
    for text, onward in words.items():
        refused.add_choice(ChoiceRule.StringMatches(variable=f"{path}.Cause", value=f"*{text}*"), onward)
    refused.default_choice(FailWithCaught(f"{step.state_id}Failed", path))
    step.add_catch(Catch(error_equals=[error], next_step=refused, result_path=path))


def tags(settings: Settings) -> list[dict[str, str]]:
    """Cost allocation tags in the API's shape, sorted by key."""
    return [{"Key": key, "Value": value} for key, value in sorted(Names.of(settings).tags.items())]
