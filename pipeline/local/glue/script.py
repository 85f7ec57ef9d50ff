"""What a run is made of: its arguments over the job's, and the script and modules that its role must read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.local.glue.store import Record
from pipeline.local.sagemaker.jobs.failure import JobFailed

# Parameters of Glue's own that may be given for each run (AWS, "Using job parameters in Glue jobs").
SCRIPT, MODULES = "--scriptLocation", "--extra-py-files"


@dataclass(frozen=True)
class Script:
    """What a run starts.

    Args:
        uri: `s3://bucket/key.py`.
        extra_py_files: `s3://` addresses of what its imports need.
        arguments: all that the script gets, keys with their dashes.
    """

    uri: str
    extra_py_files: list[str]
    arguments: dict[str, str]


def effective(job: Record, given: dict[str, str]) -> dict[str, str]:
    """The arguments of a run: the job's defaults, those given, and those that cannot be overridden."""
    fixed = job.get("NonOverridableArguments") or {}
    return {**(job.get("DefaultArguments") or {}), **given, **fixed}


def of(job: Record, run: Record) -> Script:
    """What a run of this job starts, with the arguments that Glue adds."""
    arguments = run["_Arguments"]
    modules = [part.strip() for part in arguments.get(MODULES, "").split(",")]
    own = {"--JOB_NAME": run["JobName"], "--JOB_RUN_ID": run["Id"]}
    return Script(
        arguments.get(SCRIPT) or job["Command"]["ScriptLocation"],
        [part for part in modules if part],
        {**arguments, **own},
    )


def require(s3: Any, script: Script) -> None:
    """Raise JobFailed, as Glue words it, unless the role can read the script and its modules.

    Args:
        s3: client of the run's role.
    """
    for uri in (script.uri, *script.extra_py_files):
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if not uri.startswith("s3://") or not bucket or not key:
            raise JobFailed(f"LAUNCH ERROR | {uri or 'The script'} is not an s3:// location of a file.")
        try:
            s3.get_object(Bucket=bucket, Key=key)["Body"].close()
        except ClientError as error:
            said = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
            raise JobFailed(
                f"LAUNCH ERROR | Error downloading from S3 for bucket: {bucket}, key: {key}."
                f"{said.get('Message') or said.get('Code')} (Service: Amazon S3; Status Code: {status}; "
                f"Error Code: {said.get('Code')}) Please refer logs for details."
            ) from None
        except BotoCoreError as error:
            raise JobFailed(f"LAUNCH ERROR | Error downloading from S3: {uri}: {error}") from None
