"""What the settings want to stand: two stacks with their parameters and tags, and the objects they need."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline.errors import DefinitionError
from pipeline.names import Names
from pipeline.plan import diff
from pipeline.plan import template as templates
from pipeline.plan.model import (
    COMMIT_PARAMETER,
    IMAGE_PARAMETER,
    ImageAction,
    Operation,
    StackAction,
    UploadAction,
    canonical,
    sha256,
)
from pipeline.render import account as render_account

if TYPE_CHECKING:
    from pipeline.aws.stacks import Stack
    from pipeline.render import Rendered
    from pipeline.settings.model import Settings

# CloudFormation takes a template up to here in the request; a larger one has to lie in S3.
MAX_TEMPLATE_BODY = 51_200
# On each pipeline's stack: which account stack it stands on, so that `down --all` knows who needs it.
ACCOUNT_STACK_TAG = "account-stack"
# A stack that failed while it was made cannot be updated, only deleted.
DEAD = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})


@dataclass(frozen=True)
class DesiredStack:
    """One stack as it is wanted. `unresolved`: parameters whose value only apply can know."""

    kind: Literal["account", "pipeline"]
    name: str
    template: Mapping[str, Any]
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    unresolved: tuple[str, ...] = ()


def account_stack_name(settings: Settings) -> str:
    """Name of the stack with what all pipelines of an account share."""
    return f"{settings.project.name}-account"


def account(settings: Settings) -> DesiredStack:
    template = templates.parse(render_account(settings))
    tags = {"project": settings.project.name, "managed-by": "gitops"}
    given = declared(template, {"Project": settings.project.name})
    return DesiredStack("account", account_stack_name(settings), template, given, tags)


def pipeline(
    settings: Settings, rendered: Rendered, image: ImageAction, registry: str, commit: str = ""
) -> DesiredStack:
    """The pipeline's stack.

    Args:
        registry: host name of the account's registry, for the address of an image that is not there yet.
        commit: the last one that could have changed what is deployed; empty leaves the parameter alone.
    """
    template = templates.parse(rendered.template)
    by_tag = f"{registry}/{image.repository}:{image.tag}"
    # What the workflow builds is known by its tag until a run knows the digest, and afterwards no other way:
    # the stack is the same before the first run and after it.
    built = settings.pipeline.build is not None
    uri = by_tag if built else image.uri or by_tag
    offered = {IMAGE_PARAMETER: uri, "ArtifactBucket": settings.artifact_bucket}
    if commit:
        offered[COMMIT_PARAMETER] = commit
    given = declared(template, offered)
    unresolved = () if image.uri or built else tuple(name for name in given if name == IMAGE_PARAMETER)
    tags = {**Names.of(settings).tags, ACCOUNT_STACK_TAG: account_stack_name(settings)}
    return DesiredStack("pipeline", settings.stack_name, template, given, tags, unresolved)


def uploads(settings: Settings, rendered: Rendered, *stacks: StackAction) -> list[UploadAction]:
    """The functions' and scripts' code, and templates too large for a request; none is there yet."""
    named = [(package.name, package) for package in rendered.lambdas]
    named += [(f"Glue: {package.name}", package) for package in rendered.scripts]
    named += [(f"CodeBuild: {rendered.context.name}", rendered.context)] if rendered.context else []
    # Two transforms may share a script.
    code = {package.key: (what, package) for what, package in reversed(named)}
    found = [
        UploadAction(settings.artifact_bucket, p.key, p.sha256, len(p.content), what, present=False)
        for what, p in reversed(code.values())
    ]
    large = [stack for stack in stacks if len(stack.template.encode()) > MAX_TEMPLATE_BODY]
    return found + [template_upload(settings.artifact_bucket, stack) for stack in large]


def makes_repository(account_stack: StackAction, repository: str) -> bool:
    """Whether carrying out `account_stack` makes the ECR repository of this name. Pure."""
    resources = json.loads(account_stack.template)["Resources"]
    for change in account_stack.changes:
        if change.action == "Add" and change.type == "AWS::ECR::Repository":
            name = resources[change.logical_id]["Properties"]["RepositoryName"]
            text = name if isinstance(name, str) else str(name.get("Fn::Sub", ""))
            for parameter, value in account_stack.parameters:
                text = text.replace(f"${{{parameter}}}", value)
            if text == repository:
                return True
    return False


def template_upload(bucket: str, stack: StackAction) -> UploadAction:
    """The object that a template too large for the request goes through."""
    digest = sha256(stack.template)
    what = f"template of {stack.stack_name}"
    return UploadAction(
        bucket, f"templates/{digest}.json", digest, len(stack.template.encode()), what, False, template=True
    )


def declared(template: Mapping[str, Any], offered: Mapping[str, str]) -> dict[str, str]:
    """Of what is offered, the parameters that the template declares.

    Raises:
        DefinitionError: it declares one that nobody gives.
    """
    known = template.get("Parameters") or {}
    missing = [name for name, p in known.items() if "Default" not in p and name not in offered]
    if missing:
        raise DefinitionError(
            f"the template wants parameters nobody gives: {', '.join(missing)}",
            hint=f"known: {', '.join(offered)}; give the others a Default",
        )
    return {name: value for name, value in offered.items() if name in known}


def action(
    wanted: DesiredStack,
    standing: Stack | None,
    replaces: Callable[[str, tuple[str, ...]], Any],
) -> StackAction:
    """What turns the stack that stands (None: none does) into the wanted one."""
    old = templates.parse(standing.template) if standing and standing.template is not None else None
    parameters = standing.parameters if standing else {}
    tags = standing.tags if standing else {}
    physical = standing.physical if standing else {}
    changes = diff.diff(old, wanted.template, parameters, wanted.parameters, replaces, physical)
    other = (
        diff.sections(old, wanted.template, parameters, wanted.parameters, tags, wanted.tags) if old else ()
    )
    status = standing.status if standing else ""
    return StackAction(
        kind=wanted.kind,
        stack_name=wanted.name,
        operation=_operation(status, old, bool(changes or other)),
        template=canonical(wanted.template),
        parameters=tuple(sorted(wanted.parameters.items())),
        unresolved=wanted.unresolved,
        tags=tuple(sorted(wanted.tags.items())),
        changes=changes,
        other=other,
        base=base(standing),
        status=status,
        before=canonical(old) if old else "",
        before_parameters=tuple(sorted(parameters.items())) if old else (),
    )


def base(standing: Stack | None) -> str:
    """Digest of a state that stands, as `StackAction.base` has it; empty where nothing stands."""
    if standing is None or standing.template is None:
        return ""
    old = templates.parse(standing.template)
    return sha256([standing.status, old, standing.parameters, standing.tags])


def _operation(status: str, old: Mapping[str, Any] | None, changed: bool) -> Operation:
    if status in DEAD:
        return "recreate"
    if old is None:
        return "create"
    # A failed update leaves resources in between, also where the templates agree.
    if status in {"UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED"}:
        return "update"
    return "update" if changed else "none"
