"""Answers to a whole dataset, by the model that the endpoint serves: a batch transform job, followed.

The same calls on AWS and on the local target: DescribeEndpoint -> its config -> the model, the files to S3,
CreateTransformJob, and the outputs back.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, message, told
from pipeline.aws.pace import Pace
from pipeline.errors import ExecutionError, SettingsError
from pipeline.execution.invoke import CONTENT_TYPES, describe
from pipeline.names import Names

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# MIME types by a file's name, beside those of requests.
TYPES = {
    **CONTENT_TYPES,
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".parquet": "application/x-parquet",
}
# Whose records are lines.
BY_LINE = frozenset({"text/csv", "application/jsonlines"})
OVER = frozenset({"Completed", "Failed", "Stopped"})
USUAL_INSTANCE = "ml.m5.large"
# A job's name: `<stack>-batch-<YYYYMMDDHHMMSS>-<4 hex>`, within 63.
LONGEST_NAME = 63
SUFFIX = len("-batch-YYYYMMDDHHMMSS-0000")


@dataclass(frozen=True)
class Wanted:
    """What to ask the model, and how.

    Args:
        source: a file or folder of this machine, or an s3:// prefix.
        output: a folder of this machine, or an s3:// prefix; None chooses one.
        split: `line`, `none`, or None to go by the content type.
        at_once: requests to the model at the same time; 0 as it wants.
        join: put each record before its answer.
    """

    source: str
    output: str | None = None
    content_type: str | None = None
    accept: str | None = None
    split: str | None = None
    instance_type: str | None = None
    at_once: int = 0
    single: bool = False
    join: bool = False


@dataclass
class Batch:
    """A transform job as it goes. `files`: what was written on this machine."""

    job: str
    model: str
    input: str
    output: str
    status: str = "InProgress"
    reason: str = ""
    seconds: float = 0.0
    files: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Request:
    """CreateTransformJob's request, and what belongs to it on this machine."""

    parameters: dict[str, Any]
    uploads: list[tuple[Path, str]]
    bucket: str
    download: Path | None


def prepare(settings: Settings, wanted: Wanted, model: str, now: datetime | None = None) -> Request:
    """What to upload, ask and download. Touches no target.

    Raises:
        SettingsError: nothing to send, or files of several types without a content type that is told.
    """
    moment = now or datetime.now(UTC)
    suffix = f"-batch-{moment:%Y%m%d%H%M%S}-{secrets.token_hex(2)}"
    job = f"{settings.stack_name[: LONGEST_NAME - len(suffix)].rstrip('-')}{suffix}"
    own = f"{Names.of(settings).batch_prefix}/{job}"
    bucket = settings.artifact_bucket
    uploads: list[tuple[Path, str]] = []
    source = wanted.source
    names = [source]
    if not source.startswith("s3://"):
        files = _files(Path(source))
        names = [name for _, name in files]
        uploads = [(path, f"{own}/input/{name}") for path, name in files]
        source = f"s3://{bucket}/{own}/input/"
    content_type = wanted.content_type or _type_of(names, settings)
    split = wanted.split or ("line" if content_type.partition(";")[0] in BY_LINE else "none")
    line = "Line" if split == "line" else "None"
    download: Path | None = None
    output = wanted.output or ""
    if not output.startswith("s3://"):
        if output or uploads:
            download = Path(output) if output else _beside(Path(wanted.source))
        output = f"s3://{bucket}/{own}/output"
    accept = wanted.accept or (content_type if split == "line" else settings.pipeline.smoke.accept)
    parameters: dict[str, Any] = {
        "TransformJobName": job,
        "ModelName": model,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
            "ContentType": content_type,
            "SplitType": line,
            "CompressionType": "Gzip" if all(name.endswith(".gz") for name in names) else "None",
        },
        "TransformOutput": {"S3OutputPath": output, "Accept": accept, "AssembleWith": line},
        "TransformResources": {
            "InstanceType": wanted.instance_type or _instance(settings),
            "InstanceCount": 1,
        },
        "Tags": [{"Key": k, "Value": v} for k, v in sorted(Names.of(settings).tags.items())],
    }
    if line == "Line":
        parameters["BatchStrategy"] = "SingleRecord" if wanted.single else "MultiRecord"
    if wanted.at_once:
        parameters["MaxConcurrentTransforms"] = wanted.at_once
    if wanted.join:
        parameters["DataProcessing"] = {"JoinSource": "Input"}
    return Request(parameters, uploads, bucket, download)


def serving_model(settings: Settings, clients: Clients) -> str:
    """Name of the model that gets most of the endpoint's traffic.

    Raises:
        ExecutionError: there is no endpoint.
    """
    name = settings.stack_name
    found = describe(settings, clients)
    if found is None or not found.get("EndpointConfigName"):
        raise ExecutionError(
            "there is no endpoint yet: no run has deployed a model",
            where=f"endpoint {name}",
            hint=f"pipeline run {settings.name} --follow",
        )
    config = clients.sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
    variants = config["ProductionVariants"]
    return str(max(variants, key=lambda each: each.get("InitialVariantWeight", 1.0))["ModelName"])


def run(settings: Settings, clients: Clients, wanted: Wanted, say: Callable[[str], None]) -> Batch:
    """Upload, start, follow, download. An interrupt stops the job, and is raised again.

    Raises:
        SettingsError: what was asked for cannot be.
        ExecutionError: no model serves, or the job did not complete; what it made all the same is downloaded.
    """
    with told(clients.target.name):
        model = serving_model(settings, clients)
        request = prepare(settings, wanted, model)
        parameters = request.parameters
        for path, key in request.uploads:
            clients.s3.upload_file(str(path), request.bucket, key)
        if request.uploads:
            say(f"uploaded {len(request.uploads)} files")
        batch = Batch(
            parameters["TransformJobName"],
            model,
            parameters["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"],
            parameters["TransformOutput"]["S3OutputPath"],
        )
        _create(clients, parameters)
        say(f"started {batch.job} with model {model}")
        with _stopped_by_an_interrupt(clients, batch, say):
            _follow(clients, batch, say)
        if request.download is not None:
            batch.files = _download(clients, batch.output, request.download)
    if batch.status != "Completed":
        written = (
            f"; {len(batch.files)} files that were answered are in {request.download}" if batch.files else ""
        )
        raise ExecutionError(
            f"{batch.status}: {batch.reason or 'no reason was told'}{written}",
            where=f"transform job {batch.job}",
            hint=f"its log: pipeline logs {settings.name} --batch {batch.job}",
        )
    return batch


def newest(settings: Settings, clients: Clients) -> str:
    """Name of the batch that was started last.

    Raises:
        ExecutionError: there was none.
    """
    prefix = f"{settings.stack_name[: LONGEST_NAME - SUFFIX].rstrip('-')}-batch-"
    with told(clients.target.name):
        pages = clients.sagemaker.get_paginator("list_transform_jobs").paginate(
            NameContains=prefix, SortBy="CreationTime", SortOrder="Descending"
        )
        for page in pages:
            for job in page["TransformJobSummaries"]:
                if str(job["TransformJobName"]).startswith(prefix):
                    return str(job["TransformJobName"])
    raise ExecutionError(
        "there was no batch yet",
        where=settings.stack_name,
        hint=f"pipeline batch {settings.name} --from rows.csv",
    )


def _files(source: Path) -> list[tuple[Path, str]]:
    """The files to send and the keys they get, below the input's prefix."""
    if source.is_file():
        return [(source, source.name)]
    if not source.is_dir():
        raise SettingsError("there is no such file or folder", where=str(source))
    found = [path for path in sorted(source.rglob("*")) if path.is_file()]
    shown = [path for path in found if not any(p.startswith(".") for p in path.relative_to(source).parts)]
    if not shown:
        raise SettingsError("there is no file in it", where=str(source))
    return [(path, path.relative_to(source).as_posix()) for path in shown]


def _beside(source: Path) -> Path:
    """Where the answers go unless it is said: x.out beside the file x, a folder x.out beside the folder x."""
    out = source.with_name(f"{source.name}.out") if source.name else Path(f"{source.resolve()}.out")
    if not source.is_file():
        return out
    if out.is_dir():
        raise SettingsError("the answers would go there, and it is a folder", where=str(out), hint="--output")
    return source.parent


def _type_of(names: list[str], settings: Settings) -> str:
    """By the files' names, else as the smoke request has it."""
    kinds = {TYPES.get(Path(name.removesuffix(".gz")).suffix.lower(), "") for name in names}
    if len(kinds) > 1:
        told_ = ", ".join(sorted(kind or "unknown" for kind in kinds))
        raise SettingsError(
            f"files of several types: {told_}", hint="send one type at a time, or say --content-type"
        )
    return next(iter(kinds)) or str(settings.pipeline.smoke.content_type)


def _instance(settings: Settings) -> str:
    """Where evaluation runs, if transform jobs may run there."""
    import botocore.session

    model = botocore.session.get_session().get_service_model("sagemaker")
    chosen = settings.environment.processing.instance_type
    return chosen if chosen in model.shape_for("TransformInstanceType").enum else USUAL_INSTANCE


def _create(clients: Clients, parameters: dict[str, Any]) -> None:
    try:
        clients.sagemaker.create_transform_job(**parameters)
    except ClientError as error:
        if code(error) not in ("ValidationException", "ValidationError", "UnsupportedOperation"):
            raise
        raise SettingsError(
            message(error), where=f"transform job {parameters['TransformJobName']}"
        ) from error


def _follow(clients: Clients, batch: Batch, say: Callable[[str], None]) -> None:
    began, pace, shown = time.monotonic(), Pace(), ""
    while True:
        found = clients.sagemaker.describe_transform_job(TransformJobName=batch.job)
        batch.status = found["TransformJobStatus"]
        batch.reason = found.get("FailureReason", "")
        batch.seconds = round(time.monotonic() - began, 1)
        if batch.status != shown:
            say(f"{batch.status} after {batch.seconds:.1f} s")
            shown = batch.status
        if batch.status in OVER:
            return
        pace.wait()


@contextmanager
def _stopped_by_an_interrupt(clients: Clients, batch: Batch, say: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        say(f"stopping {batch.job}")
        try:
            clients.sagemaker.stop_transform_job(TransformJobName=batch.job)
            _follow(clients, batch, say)
        except ClientError as error:
            say(f"{batch.job}: {message(error)}")
        raise


def _download(clients: Clients, uri: str, folder: Path) -> list[str]:
    """The outputs below `folder`; the files written."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    prefix = f"{prefix.rstrip('/')}/"
    written = []
    for page in clients.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            target = folder / entry["Key"][len(prefix) :]
            target.parent.mkdir(parents=True, exist_ok=True)
            clients.s3.download_file(bucket, entry["Key"], str(target))
            written.append(str(target))
    return written
