"""The jobs between data and training: whether they made what the training read, and it still is that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, message
from pipeline.lineage.links import Chain
from pipeline.plan import functions

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# A dataset is its manifest, below the output of the run that made it (pipeline/steps/transform.py).
_MANIFEST = re.compile(r"^(?P<output>s3://.+/(?P<name>\w+))/manifests/(?P<dataset>[\w-]+)\.json$")
# What a program of the container made is a folder of its output.
_FOLDER = re.compile(r"^(?P<output>s3://.+/runs/[^/]+/(?P<name>\w+))/(?P<dataset>[\w-]+)/$")


def read_by(job: Mapping[str, Any]) -> dict[str, tuple[str, list[str]]]:
    """Transform -> its run's output and the datasets of it, that a training job read."""
    found: dict[str, tuple[str, list[str]]] = {}
    for channel in job.get("InputDataConfig") or []:
        source = (channel.get("DataSource") or {}).get("S3DataSource") or {}
        form = _MANIFEST if source.get("S3DataType") == "ManifestFile" else _FOLDER
        if made := form.match(source.get("S3Uri", "")):
            _, datasets = found.setdefault(made["name"], (made["output"], []))
            datasets.append(made["dataset"])
    return found


def link(chain: Chain, settings: Settings, clients: Clients, facts: Mapping[str, str]) -> None:
    """A link for each transform whose datasets the model was trained on; none without transforms."""
    if not settings.pipeline.transforms or not facts.get("training_job"):
        return
    try:
        job = clients.sagemaker.describe_training_job(TrainingJobName=facts["training_job"])
    except ClientError as error:
        if code(error) not in {"ValidationException", "ResourceNotFound"}:
            raise
        # The link of the job itself says so.
        return
    for name, (output, datasets) in sorted(read_by(job).items()):
        transform = settings.pipeline.transforms.get(name)
        if transform is not None:
            by = _link_program if transform.program else _link
            by(chain, settings, clients, name, output, datasets)


def _link(
    chain: Chain, settings: Settings, clients: Clients, name: str, output: str, datasets: list[str]
) -> None:
    what, glue_job = f"transform {name}", f"{settings.stack_name}-{name}"
    read = f"the training read {', '.join(sorted(datasets))} of it"
    try:
        run = next((run for run in _runs(clients, glue_job) if _told(run, "OUTPUT_PATH") == output), None)
    except ClientError as error:
        if code(error) != "EntityNotFoundException":
            raise
        chain.add(what, glue_job, False, message(error))
        return
    if run is None:
        # Glue forgets runs in time; what they made may be there for longer.
        chain.add(what, output, None, f"Glue knows no run of {glue_job} any more that wrote there; {read}")
        return
    value = f"{glue_job} {run['Id']}"
    if run["JobRunState"] != "SUCCEEDED":
        chain.add(what, value, False, f"it is {run['JobRunState']}; {read}")
        return
    asked = functions.load(Path(settings.root), "find_reusable", {}, clients, "transforms")
    script = _told(run, "scriptLocation").rpartition("/")[2][:16]
    try:
        # The state machine's own function, which says whether a run's output may be used again.
        asked.usable(run, _told(run, "FINGERPRINT"))
    except asked.Unusable as reason:
        chain.add(what, value, False, f"{reason}; {read}")
        return
    chain.add(what, value, True, f"SUCCEEDED by script {script}..., its objects are as it wrote them; {read}")


def _link_program(
    chain: Chain, settings: Settings, clients: Clients, name: str, output: str, datasets: list[str]
) -> None:
    what = f"transform {name}"
    read = f"the training read {', '.join(sorted(datasets))} of it"
    # The run's id is in its place, and in the names of its jobs (pipeline/steps/capacity.py).
    begins = f"{settings.stack_name}-{output.split('/')[-2]}-"
    pages = clients.sagemaker.get_paginator("list_processing_jobs").paginate(NameContains=begins)
    for each in (summary for page in pages for summary in page["ProcessingJobSummaries"]):
        job = clients.sagemaker.describe_processing_job(ProcessingJobName=each["ProcessingJobName"])
        outputs = (job.get("ProcessingOutputConfig") or {}).get("Outputs") or []
        if output not in [o["S3Output"]["S3Uri"].rstrip("/") for o in outputs]:
            continue
        if job["ProcessingJobStatus"] != "Completed":
            continue
        asked = functions.load(Path(settings.root), "find_reusable", {}, clients, "programs")
        try:
            asked.program(job["ProcessingJobName"], {"output": outputs[0]["OutputName"]}, {})
        except asked.Unusable as reason:
            chain.add(what, job["ProcessingJobArn"], False, f"{reason}; {read}")
            return
        chain.add(what, job["ProcessingJobArn"], True, f"Completed, its files are as it wrote them; {read}")
        return
    chain.add(what, output, None, f"SageMaker knows no job that wrote there; {read}")


def _runs(clients: Clients, job: str) -> Iterator[Mapping[str, Any]]:
    for page in clients.glue.get_paginator("get_job_runs").paginate(JobName=job):
        yield from page["JobRuns"]


def _told(run: Mapping[str, Any], argument: str) -> str:
    return str((run.get("Arguments") or {}).get(f"--{argument}", ""))
