"""The plan of one pipeline: the rendered desired state beside what is deployed. Reads, never writes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import git
from pipeline.aws import stacks
from pipeline.aws.errors import code, told
from pipeline.image import engine as engines
from pipeline.image import resolve, scan
from pipeline.plan import desired, registry
from pipeline.plan.desired import (
    ACCOUNT_STACK_TAG,
    MAX_TEMPLATE_BODY,
    account_stack_name,
    base,
    template_upload,
)
from pipeline.plan.model import ImageAction, Plan, StackAction, UploadAction
from pipeline.render import render

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

__all__ = [
    "ACCOUNT_STACK_TAG",
    "MAX_TEMPLATE_BODY",
    "account_stack_name",
    "base",
    "compute",
    "template_upload",
]

# What a deployed pipeline is made from.
SOURCES = (
    "pipeline.toml",
    "pipeline/definitions/{settings.name}",
    "pipeline/lambdas",
    "pipeline/render",
    "pipeline/steps",
    "container/{settings.pipeline.container}",
)


def made_from(settings: Settings) -> list[str]:
    """Files and folders that decide what is deployed of this pipeline, relative to the root."""
    scripts = sorted({f"glue_scripts/{t.script}" for t in settings.pipeline.transforms.values() if t.script})
    library = ["glue_scripts/common"] if scripts else []
    return [path.format(settings=settings) for path in SOURCES] + library + scripts


def compute(settings: Settings, clients: Clients) -> Plan:
    """What `apply` would do now. Two calls without a change between give equal plans."""
    rendered = render(settings)
    source = resolve.source(settings)
    account_stack = _action(clients, desired.account(settings))
    image = _image(clients, source, account_stack, by_workflow=settings.pipeline.build is not None)
    # A commit to the docs changes nothing here.
    commit = git.last_change(Path(settings.root), made_from(settings))
    wanted = desired.pipeline(settings, rendered, image, resolve.registry(clients), commit)
    pipeline_stack = _action(clients, wanted)
    objects = desired.uploads(settings, rendered, account_stack, pipeline_stack)
    return Plan(
        name=settings.name,
        environment=settings.environment_name,
        account=clients.account,
        region=clients.region,
        account_stack=account_stack,
        uploads=tuple(_present(clients, upload) for upload in objects),
        image=image,
        pipeline_stack=pipeline_stack,
    )


def _action(clients: Clients, wanted: desired.DesiredStack) -> StackAction:
    by_type = functools.partial(registry.replaces, region=clients.region)
    return desired.action(wanted, stacks.read(clients, wanted.name), by_type)


def _image(
    clients: Clients, source: resolve.ImageSource, account_stack: StackAction, *, by_workflow: bool
) -> ImageAction:
    found = resolve.lookup(clients, source)
    if found is not None:
        why = "the registry has it: same source, lock, base and build arguments"
        told_by_scanner = scan.findings(clients, found.repository, found.digest)
        return ImageAction(
            source.repository, source.tag, found.digest, found.uri, "reuse", why, told_by_scanner
        )
    if by_workflow:
        why = "not in the registry; CodeBuild builds it in the next run"
        return ImageAction(source.repository, source.tag, how="workflow", why=why)
    engine = engines.find()
    if engine is None and desired.makes_repository(account_stack, source.repository):
        # A registry may know the source by itself (ours does); it can be asked once the repository stands.
        why = "apply makes its repository, then looks; no container engine answers to build it"
        return ImageAction(source.repository, source.tag, how="later", why=why)
    if engine is None:
        return ImageAction(source.repository, source.tag, how="missing", why="no container engine answers")
    return ImageAction(source.repository, source.tag, how="build", why=f"not in the registry; {engine}")


def _present(clients: Clients, upload: UploadAction) -> UploadAction:
    from botocore.exceptions import ClientError

    with told(clients.target.name):
        try:
            head = clients.s3.head_object(Bucket=upload.bucket, Key=upload.key)
        except ClientError as error:
            # HEAD has no body, so S3's codes arrive as the bare status.
            if code(error) in {"404", "NoSuchBucket", "NoSuchKey", "NotFound"}:
                return upload
            raise
    return UploadAction(**{**upload.__dict__, "present": head["ContentLength"] == upload.bytes})
