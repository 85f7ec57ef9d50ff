"""Why a job failed, in SageMaker's words.

`ClientError: ...` is the user's side (data, permissions, image), `AlgorithmError: ..., exit code: N` the
program's, `InternalServerError: ...` ours. The texts are those seen in FailureReason of real jobs.
"""

from __future__ import annotations

from pathlib import Path

from botocore.exceptions import ClientError

from pipeline.local.runner import Outcome

LIMIT = 1024  # characters of FailureReason and ExitMessage


class JobFailed(Exception):
    """Ends a job as Failed; the message is its FailureReason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason[:LIMIT]


class JobInterrupted(Exception):
    """The server is stopping: the job cannot go on, through no fault of its own."""


def algorithm_error(exit_code: int, said: str = "") -> str:
    """FailureReason of a program that ended badly; `said` is what it wrote to /opt/ml/output/failure."""
    ending = f", exit code: {exit_code}"
    start = "AlgorithmError: "
    return start + said[: LIMIT - len(start) - len(ending)] + ending


def ended_badly(outcome: Outcome, said: str = "") -> JobFailed:
    """Why a program's bad end ends its job; `said` is what it wrote to /opt/ml/output/failure."""
    if outcome.lost:
        return JobFailed(f"InternalServerError: {outcome.lost}; start the job again.")
    if outcome.oom:
        said = said or "The container was killed: out of memory"
    return JobFailed(algorithm_error(outcome.exit_code, said))


def no_objects(uri: str, region: str, role: str, said: str = "") -> str:
    """What CreateTrainingJob, and a job's download, say of an S3 URI under which nothing is found."""
    bucket = uri.removeprefix("s3://").partition("/")[0]
    text = (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
        f"exists in the selected region ({region}), that objects exist under that S3 prefix, and that "
        "the role "
        f'"{role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )
    return f"{text} Error message from S3: {said}" if said else text


def download_failed(why: str) -> JobFailed:
    """The data of a job could not be fetched."""
    return JobFailed(f"ClientError: Data download failed:{why}")


def object_failed(uri: str, error: Exception) -> JobFailed:
    """One object could not be fetched."""
    code, message = _code_and_message(error)
    return download_failed(f"Unable to download object {uri} ({code}: {message})")


def listing_failed(uri: str, error: Exception) -> JobFailed:
    """The objects under a prefix could not be listed."""
    code, message = _code_and_message(error)
    return download_failed(f"Failed to download data. ListObjectsV2 failed for {uri} : {code}: {message}")


def upload_failed(error: Exception) -> JobFailed:
    """The results of a job could not be stored."""
    code, message = _code_and_message(error)
    status = ""
    if isinstance(error, ClientError):
        status = f" ({error.response.get('ResponseMetadata', {}).get('HTTPStatusCode', '')})"
    return JobFailed(f"ClientError: Artifact upload failed:Error 7: {code}{status}: {message}")


def text_of(path: Path) -> str:
    """What a program left in a small text file; empty if it did not. No more than is shown is read."""
    try:
        with path.open("rb") as stream:
            return stream.read(LIMIT * 4).decode("utf-8", errors="replace").strip()
    except OSError:
        return ""


def _code_and_message(error: Exception) -> tuple[str, str]:
    if isinstance(error, ClientError):
        said = error.response.get("Error", {})
        return str(said.get("Code", "Error")), str(said.get("Message", ""))
    return type(error).__name__, str(error)
