"""Standard Retry policies: which errors pass by themselves, by the service that reports them.

Error names:
- Lambda: https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
- `sagemaker:*` (optimised) reports what has no name of its own, throttling included, as
  `SageMaker.AmazonSageMakerException`; quotas and missing capacity at creation as
  `SageMaker.ResourceLimitExceededException`.
- `aws-sdk:*` reports `<Service>.<Name>Exception` as the AWS SDK for Java 2 names it, and
  `<Service>.<Service>Exception` for the rest; `<Service>.SdkClientException` for the way there.
A job that ran and failed is `States.TaskFailed`: never retried, since the same program on the same data
fails the same way and costs the same money.
"""

from __future__ import annotations

import math
import re

from pipeline.steps.sdk import Retry

POLL_SECONDS = 15

# How the AWS SDK for Java 2 spells a service in error names, where it is not simply capitalised.
_SDK_SPELLING = {
    "applicationautoscaling": "ApplicationAutoScaling",
    "cloudwatch": "CloudWatch",
    "dynamodb": "DynamoDb",
    "eventbridge": "EventBridge",
    "sagemaker": "SageMaker",
}


def _retry(errors: list[str], interval: int, attempts: int, *, ceiling: int, backoff: float = 2.0) -> Retry:
    return Retry(
        error_equals=errors,
        interval_seconds=interval,
        max_attempts=attempts,
        backoff_rate=backoff,
        max_delay_seconds=ceiling,
    )


def for_lambda() -> list[Retry]:
    """Faults and throttling of the Lambda service; not what the function itself raised."""
    names = [
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.TooManyRequestsException",
    ]
    return [_retry(names, 2, 5, ceiling=30)]


def for_sagemaker() -> list[Retry]:
    """Throttling, service faults, and quotas or capacity that others may free within minutes."""
    return [
        _retry(["SageMaker.ResourceLimitExceededException"], 60, 5, ceiling=300),
        _retry(["ThrottlingException", "SageMaker.AmazonSageMakerException"], 3, 3, ceiling=30),
    ]


def for_glue() -> list[Retry]:
    """Throttling, service faults, and quotas that other runs may free within minutes.

    The errors of StartJobRun, as botocore's model of glue has them, that pass by themselves; what has no name
    of its own is reported as `Glue.AWSGlueException`.
    """
    busy = ["Glue.ConcurrentRunsExceededException", "Glue.ResourceNumberLimitExceededException"]
    faults = [
        "ThrottlingException",
        "Glue.AWSGlueException",
        "Glue.InternalServiceException",
        "Glue.OperationTimeoutException",
    ]
    return [_retry(busy, 60, 5, ceiling=300), _retry(faults, 3, 3, ceiling=30)]


def for_codebuild() -> list[Retry]:
    """Throttling, service faults, and builds of others that fill the account's queue for now.

    What CodeBuild gives no name of its own is `CodeBuild.AWSCodeBuildException`.
    """
    return [
        _retry(["CodeBuild.AccountLimitExceededException"], 60, 5, ceiling=300),
        _retry(["ThrottlingException", "CodeBuild.AWSCodeBuildException"], 15, 2, ceiling=60, backoff=4.0),
    ]


def soon(errors: list[str]) -> Retry:
    """What a service says until it has seen what was told to another of its machines a moment ago."""
    return _retry(errors, 1, 4, ceiling=8)


def until_ended(error: str, seconds: int) -> Retry:
    """A function that raises `error` for as long as something is under way, asked again for that long."""
    # With jitter a pause takes half of its interval on the whole.
    attempts = math.ceil(2 * seconds / POLL_SECONDS)
    return _retry([error], POLL_SECONDS, attempts, ceiling=POLL_SECONDS, backoff=1.0)


def for_aws_sdk(service: str, *, unnamed: bool = True, also: tuple[str, ...] = ()) -> list[Retry]:
    """Of an `aws-sdk:<service>` task.

    Args:
        unnamed: also what the service gives no name of its own, which holds throttling but also requests
            that are wrong for good; leave it out where such an error is an answer (not found).
        also: errors of the service's own that pass by themselves.
    """
    prefix = _SDK_SPELLING.get(service, service.capitalize())
    names = ["ThrottlingException", f"{prefix}.ThrottlingException", f"{prefix}.SdkClientException"]
    names += [f"{prefix}.{name}" for name in also]
    if unnamed:
        names.append(f"{prefix}.{prefix}Exception")
    return [_retry(names, 3, 3, ceiling=30)]


def standard(resource: str) -> list[Retry]:
    """The policy for a Task by its Resource; for one this file does not know, only what holds for all."""
    if re.search(r":states:::lambda:invoke|:lambda:[^:]+:\d+:function:", resource):
        return for_lambda()
    if re.search(r":states:::sagemaker:", resource):
        return for_sagemaker()
    if re.search(r":states:::glue:", resource):
        return for_glue()
    if re.search(r":states:::codebuild:", resource):
        return for_codebuild()
    if sdk := re.search(r":states:::aws-sdk:([a-z0-9]+):", resource):
        return for_aws_sdk(sdk[1])
    return [_retry(["ThrottlingException"], 3, 3, ceiling=30)]
