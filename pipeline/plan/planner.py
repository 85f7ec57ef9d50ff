"""The plan of one pipeline: the rendered desired state beside what is deployed. Reads, never writes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import git
from pipeline.aws import stacks
from pipeline.aws.errors import code, told
from pipeline.errors import DefinitionError
from pipeline.image import engine as engines
from pipeline.image import resolve, scan
from pipeline.names import Names
from pipeline.plan import diff, registry
from pipeline.plan import template as templates
from pipeline.plan.model import (
    COMMIT_PARAMETER,
    IMAGE_PARAMETER,
    ImageAction,
    Operation,
    Plan,
    StackAction,
    UploadAction,
    canonical,
    sha256,
)
from pipeline.render import account as render_account
from pipeline.render import render

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# CloudFormation takes a template up to here in the request; a larger one has to lie in S3.
MAX_TEMPLATE_BODY = 51_200
# What a deployed pipeline is made from.
SOURCES = (
    "pipeline.toml",
    "pipeline/definitions/{settings.name}",
    "pipeline/lambdas",
    "pipeline/render",
    "pipeline/steps",
    "container/{settings.pipeline.container}",
)
# On each pipeline's stack: which account stack it stands on, so that `down --all` knows who needs it.
ACCOUNT_STACK_TAG = "account-stack"
# A stack that failed while it was made cannot be updated, only deleted.
DEAD = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})


def compute(settings: Settings, clients: Clients) -> Plan:
    """What `apply` would do now. Two calls without a change between give equal plans."""
    rendered = render(settings)
    source = resolve.source(settings)
    image = _image(clients, source)
    account_stack = _account(settings, clients)
    pipeline_stack = _pipeline(settings, clients, rendered.template, image)
    code_objects = [
        UploadAction(
            settings.artifact_bucket, package.key, package.sha256, _size(package), package.name, False
        )
        for package in rendered.lambdas
    ]
    for stack in (account_stack, pipeline_stack):
        if len(stack.template.encode()) > MAX_TEMPLATE_BODY:
            code_objects.append(template_upload(settings.artifact_bucket, stack))
    uploads = tuple(_present(clients, upload) for upload in code_objects)
    return Plan(
        name=settings.name,
        environment=settings.environment_name,
        account=clients.account,
        region=clients.region,
        account_stack=account_stack,
        uploads=uploads,
        image=image,
        pipeline_stack=pipeline_stack,
    )


def _image(clients: Clients, source: resolve.ImageSource) -> ImageAction:
    found = resolve.lookup(clients, source)
    if found is not None:
        why = "the registry has it: same source, lock, base and build arguments"
        told_by_scanner = scan.findings(clients, found.repository, found.digest)
        return ImageAction(
            source.repository, source.tag, found.digest, found.uri, "reuse", why, told_by_scanner
        )
    engine = engines.find()
    if engine is None:
        return ImageAction(source.repository, source.tag, how="missing", why="no container engine answers")
    return ImageAction(source.repository, source.tag, how="build", why=f"not in the registry; {engine}")


def account_stack_name(settings: Settings) -> str:
    """Name of the stack with what all pipelines of an account share."""
    return f"{settings.project.name}-account"


def template_upload(bucket: str, stack: StackAction) -> UploadAction:
    """The object that a template too large for the request goes through."""
    digest = sha256(stack.template)
    what = f"template of {stack.stack_name}"
    return UploadAction(
        bucket, f"templates/{digest}.json", digest, len(stack.template.encode()), what, False, template=True
    )


def _account(settings: Settings, clients: Clients) -> StackAction:
    template = templates.parse(render_account(settings))
    offered = {"Project": settings.project.name}
    tags = {"project": settings.project.name, "managed-by": "gitops"}
    name = account_stack_name(settings)
    return _stack(clients, "account", name, template, _declared(template, offered), (), tags)


def _pipeline(
    settings: Settings, clients: Clients, template: Mapping[str, Any], image: ImageAction
) -> StackAction:
    template = templates.parse(template)
    uri = image.uri or f"{resolve.registry(clients)}/{image.repository}:{image.tag}"
    offered = {IMAGE_PARAMETER: uri, "ArtifactBucket": settings.artifact_bucket}
    # The last commit that could have changed what is deployed: a commit to the docs changes nothing here.
    commit = git.last_change(Path(settings.root), [path.format(settings=settings) for path in SOURCES])
    if commit:
        offered[COMMIT_PARAMETER] = commit
    tags = {**Names.of(settings).tags, ACCOUNT_STACK_TAG: account_stack_name(settings)}
    parameters = _declared(template, offered)
    unresolved = () if image.uri else tuple(name for name in parameters if name == IMAGE_PARAMETER)
    return _stack(clients, "pipeline", settings.stack_name, template, parameters, unresolved, tags)


def _declared(template: Mapping[str, Any], offered: Mapping[str, str]) -> dict[str, str]:
    declared = template.get("Parameters") or {}
    missing = [name for name, p in declared.items() if "Default" not in p and name not in offered]
    if missing:
        raise DefinitionError(
            f"the template wants parameters nobody gives: {', '.join(missing)}",
            hint=f"known: {', '.join(offered)}; give the others a Default",
        )
    return {name: value for name, value in offered.items() if name in declared}


def _stack(
    clients: Clients,
    kind: Any,
    name: str,
    template: Mapping[str, Any],
    parameters: Mapping[str, str],
    unresolved: tuple[str, ...],
    tags: Mapping[str, str],
) -> StackAction:
    deployed = stacks.read(clients, name)
    old = templates.parse(deployed.template) if deployed and deployed.template is not None else None
    old_parameters = deployed.parameters if deployed else {}
    old_tags = deployed.tags if deployed else {}
    by_type = functools.partial(registry.replaces, region=clients.region)
    changes = diff.diff(
        old, template, old_parameters, parameters, by_type, deployed.physical if deployed else {}
    )
    other = diff.sections(old, template, old_parameters, parameters, old_tags, tags) if old else ()
    return StackAction(
        kind=kind,
        stack_name=name,
        operation=_operation(deployed.status if deployed else "", old, bool(changes or other)),
        template=canonical(template),
        parameters=tuple(sorted(parameters.items())),
        unresolved=unresolved,
        tags=tuple(sorted(tags.items())),
        changes=changes,
        other=other,
        base=base(deployed),
        status=deployed.status if deployed else "",
        before=canonical(old) if old else "",
        before_parameters=tuple(sorted(old_parameters.items())) if old else (),
    )


def base(deployed: stacks.Stack | None) -> str:
    """Digest of a deployed state, as `StackAction.base` has it; empty where nothing stands."""
    if deployed is None or deployed.template is None:
        return ""
    old = templates.parse(deployed.template)
    return sha256([deployed.status, old, deployed.parameters, deployed.tags])


def _operation(status: str, old: Mapping[str, Any] | None, changed: bool) -> Operation:
    if status in DEAD:
        return "recreate"
    if old is None:
        return "create"
    # A failed update leaves resources in between, also where the templates agree.
    if status in {"UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED"}:
        return "update"
    return "update" if changed else "none"


def _size(package: Any) -> int:
    held = package.path_or_bytes
    return len(held) if isinstance(held, bytes) else Path(held).stat().st_size


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
