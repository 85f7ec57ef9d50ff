"""Build the container's image inside the workflow, once for each content of its folder.

    FindImage --there--> ImageFound ------------------------------------------+
        | not there                                                           |
    BuildImage (CodeBuild, .sync) -> ReadDigest -> ImageBuilt -> IsImageRunnable -> the next block
        | fails, is stopped, times out
    ExplainBuild -> BuildFailed (the run fails with what the build said last)

The source is the container's folder as `pipeline apply` uploaded it, by content; what to do with it says its
own `buildspec.yml`. It is told IMAGE_REPOSITORY, IMAGE_TAG and BUILD_ARGUMENTS, and has to push the one
under the other. Tags are the content's and never move, so the tag is what fingerprints count, and the digest
that the registry tells is what jobs and endpoints run: `$.image` holds uri, digest, tag and built.
"""

from __future__ import annotations

from typing import Any

from pipeline.errors import DefinitionError
from pipeline.names import BUILD_REPOSITORY, BUILD_TAG, Names
from pipeline.steps import retry
from pipeline.steps.block import Block, Failure, call, invoke
from pipeline.steps.intrinsics import fmt
from pipeline.steps.sdk import Catch, ChoiceRule, Gateway, Pass, Task, integration_arn
from pipeline.steps.view import Settings

RESULT = "$.image"
SECONDS_A_MINUTE = 60
# Starting the machine, fetching the source, and the event that ends `.sync`: beside the build's own limits.
OVERHEAD_SECONDS = 600
# SageMaker runs images of this kind, and no OCI ones.
RUNNABLE = "application/vnd.docker.distribution.manifest.v2+json"
_NO_IMAGE, _NO_REPOSITORY = "Ecr.ImageNotFoundException", "Ecr.RepositoryNotFoundException"


class Build(Block):
    """Finds the image of the container's content, or has it built; jobs after it run what it found.

    Needs `[build]` in the settings. Stands before the first job of the pipeline's container.
    """

    def __init__(self, settings: Settings) -> None:
        require_build(settings)
        super().__init__(settings, _states(settings, _build(settings)))


class BuildByLambda(Block):
    """As Build, with a function that starts the build and waits for it (pipeline/lambdas/start_build).

    For those whose state machine may not call CodeBuild itself. The function asks CodeBuild and returns; a
    build that is under way is an error by name, `BuildRunning`, that the Task's Retry answers: nobody waits
    inside a function, and a build that fails is an error, not an answer.
    """

    def __init__(self, settings: Settings) -> None:
        require_build(settings)
        super().__init__(settings, _states(settings, _build_by_lambda(settings)))


def require_build(settings: Settings) -> None:
    """Raises DefinitionError without [build]: then nothing renders what builds."""
    if not settings.pipeline.build:
        raise DefinitionError(
            "Build needs [build] in settings.toml, which makes the project that it starts",
            hint="write [build] there, or leave Build out: `pipeline apply` builds the image then",
        )


def _states(settings: Settings, build: Any) -> list[Any]:
    image = settings.code.image
    found = _kept("ImageFound", settings, built=False)
    built = _kept("ImageBuilt", settings, built=True)
    runnable = Gateway(
        "IsImageRunnable",
        ChoiceRule.StringEquals(variable=f"{RESULT}.kind", value=RUNNABLE),
        otherwise=Failure(
            "ImageNotRunnable",
            fmt(
                f"{image.repository}:{image.tag} is {{}}, which SageMaker does not run: let the buildspec "
                "push a Docker v2 schema 2 manifest (buildx: --provenance=false --output type=docker), and "
                "delete that image",
                f"{RESULT}.kind",
            ),
        ),
        comment="SageMaker runs no OCI image.",
    )
    find, read = _describe(settings, "FindImage"), _describe(settings, "ReadDigest")
    find.comment = "The tag is the content's: an image that has it needs no building."
    missing = Failure(
        "ImageRepositoryMissing",
        f"the repository {image.repository} does not exist: the account's stack makes it (pipeline apply)",
    )
    find.add_catch(Catch(error_equals=[_NO_IMAGE], next_step=build, result_path="$.sought"))
    find.add_catch(Catch(error_equals=[_NO_REPOSITORY], next_step=missing, result_path="$.sought"))
    unpushed = Failure(
        "ImageNotPushed",
        f"the build ended well, and {image.repository} has no image {image.tag}: let the container's "
        f"buildspec.yml push ${BUILD_REPOSITORY}:${BUILD_TAG}",
    )
    # What was pushed a moment ago may not be seen yet.
    read.add_retry(retry.soon([_NO_IMAGE]))
    read.add_catch(Catch(error_equals=[_NO_IMAGE], next_step=unpushed, result_path="$.sought"))
    build.next(read)
    read.next(built)
    built.next(runnable)
    explain = invoke(
        settings,
        "ExplainBuild",
        "explain_build",
        {"error.$": "$.build_error.Error", "cause.$": "$.build_error.Cause"},
        comment="What the build said last, for whoever reads why the run failed.",
        result_path="$.build_failure",
    ).select({"Cause.$": "$.Payload.cause"})
    explain.next(Failure("BuildFailed", "$.build_failure.Cause"))
    # Without an explanation the build's own description has to do.
    unexplained = Failure("BuildFailedUnexplained", "$.build_error.Cause", error="BuildFailed")
    explain.add_catch(Catch(error_equals=["States.ALL"], next_step=unexplained, result_path="$.unexplained"))
    build.add_catch(Catch(error_equals=["States.TaskFailed"], next_step=explain, result_path="$.build_error"))
    return [find, found, runnable]


def _describe(settings: Settings, state_id: str) -> Any:
    image = settings.code.image
    return call(
        state_id,
        "ecr",
        "describeImages",
        {"RepositoryName": image.repository, "ImageIds": [{"ImageTag": image.tag}]},
        retry=retry.for_aws_sdk("ecr", unnamed=False, also=("ServerException",)),
        result_path=RESULT,
    ).select(
        {
            "digest.$": "$.ImageDetails[0].ImageDigest",
            "kind.$": "$.ImageDetails[0].ImageManifestMediaType",
        }
    )


def _kept(state_id: str, settings: Settings, *, built: bool) -> Pass:
    image, names = settings.code.image, Names.of(settings)
    parameters = {
        "uri.$": fmt(f"{names.registry}/{image.repository}@{{}}", f"{RESULT}.digest"),
        "digest.$": f"{RESULT}.digest",
        "kind.$": f"{RESULT}.kind",
        "tag": image.tag,
        "built": built,
    }
    return Pass(state_id, parameters=parameters, result_path=RESULT)


def request(settings: Settings) -> dict[str, Any]:
    """StartBuild's parameters: a run builds the content it was started with, whatever is applied since."""
    image, names = settings.code.image, Names.of(settings)
    return {
        "ProjectName": names.build,
        "SourceTypeOverride": "S3",
        "SourceLocationOverride": image.context,
        "EnvironmentVariablesOverride": [
            {"Name": name, "Value": value, "Type": "PLAINTEXT"} for name, value in image.variables.items()
        ],
    }


def seconds(settings: Settings) -> int:
    """That the task may take: waiting for a machine, and the build."""
    given = settings.pipeline.build
    total: int = (given.timeout_minutes + given.queue_minutes) * SECONDS_A_MINUTE + OVERHEAD_SECONDS
    return total


def _build(settings: Settings) -> Any:
    return Task(
        "BuildImage",
        resource=integration_arn("codebuild:startBuild.sync"),
        parameters=request(settings),
        comment=f"CodeBuild runs container/{settings.pipeline.container}/buildspec.yml.",
        timeout_seconds=seconds(settings),
        retry=retry.for_codebuild(),
        result_path="$.build",
    ).select({"Id.$": "$.Build.Id", "Arn.$": "$.Build.Arn"})


def _build_by_lambda(settings: Settings) -> Any:
    step = invoke(
        settings,
        "BuildImage",
        "start_build",
        {
            "request": request(settings),
            # A redrive is to build again what failed.
            "token.$": fmt("{}-{}", "$.run.run_id", "$$.Execution.RedriveCount"),
        },
        comment=f"A function has CodeBuild run container/{settings.pipeline.container}/buildspec.yml.",
        result_path="$.build",
    ).select({"Id.$": "$.Payload.id", "Arn.$": "$.Payload.arn"})
    step.add_retry(retry.until_ended("BuildRunning", seconds(settings)))
    return step
