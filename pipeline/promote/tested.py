"""What an environment has tested: the version its endpoint serves, and whether it is what a tag says.

Three things have to agree, and each is read where AWS keeps it:

    the endpoint     is InService with one model, made from a registered version that is Approved;
    the run          that deployed exactly this succeeded, and that is after its smoke test;
    the tag          holds what the version was made from, or what the environment is applied from and by
                     which its own state machine took this version for the right one.

Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.aws import stacks
from pipeline.aws.errors import code, message, told
from pipeline.errors import ApplyError
from pipeline.image.context import uses
from pipeline.names import WORKFLOW_FILE
from pipeline.plan.planner import made_from
from pipeline.promote import content, history
from pipeline.promote.history import Run
from pipeline.promote.tags import Tag

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings


class NotTested(ApplyError):
    """The environment has not tested what the tag says; the text says what it serves instead."""


class NeverDeployed(NotTested):
    """The environment has no endpoint of the pipeline."""


@dataclass(frozen=True)
class Tested:
    """A version that an environment serves, and that may be promoted.

    Args:
        package: DescribeModelPackage of it.
        image: `<repository>`, `sha256:...` of its container.
        model_url, etag: its artifact, and what S3 called its content when it was registered.
        config: the endpoint config that serves it.
        execution: ARN of the run that deployed and tested it.
        how: why it is what the tag says, one sentence.
    """

    package: Mapping[str, Any] = field(repr=False)
    repository: str
    digest: str
    model_url: str
    etag: str
    config: str
    execution: str
    how: str

    @property
    def arn(self) -> str:
        return str(self.package["ModelPackageArn"])

    @property
    def metadata(self) -> dict[str, str]:
        return dict(self.package.get("CustomerMetadataProperties", {}))


def sources(settings: Settings) -> list[str]:
    """Paths of all that a deployed pipeline is made from, the container's shared folders included."""
    container = Path(settings.root) / "container" / settings.pipeline.container
    shared = [f"container/{name}" for name in uses(container)]
    return made_from(settings) + shared


def find(root: Path, tag: Tag, settings: Settings, clients: Clients) -> Tested:
    """The version that the environment of `settings` serves, if it is what `tag` says.

    Args:
        root: the repository, for its history.
        settings: of the environment that is promoted from, as the tag's content has them.
        clients: that may read there.

    Raises:
        NotTested: with what serves instead, and what to do.
    """
    with told(clients.target.name):
        return _find(root, tag, settings, clients)


def _find(root: Path, tag: Tag, settings: Settings, clients: Clients) -> Tested:
    where = f"endpoint {settings.stack_name}"
    run = f"pipeline run {settings.name} -e {settings.environment_name}"
    config, package = serving(settings, clients)
    container = package["InferenceSpecification"]["Containers"][0]
    place, _, digest = str(container["Image"]).partition("@")
    version, facts = package.get("ModelPackageVersion"), package.get("CustomerMetadataProperties", {})
    if package.get("ModelApprovalStatus") != "Approved":
        raise NotTested(
            f"it serves version {version}, which is {package.get('ModelApprovalStatus')}: "
            f"{package.get('ApprovalDescription') or 'no reason was given'}",
            where=where,
            hint=f"{run}  (deploys one that passes)",
        )
    if by_hand := facts.get(WORKFLOW_FILE):
        raise NotTested(
            f"it serves version {version}, made by a workflow given by hand ({by_hand}): no commit says what "
            "made it",
            where=where,
            hint=f"bring the change into the definition, pipeline apply {settings.name} -e "
            f"{settings.environment_name}, then {run} --force",
        )
    runs = list(_runs_since(settings, clients, config))
    deployed = runs[-1] if runs and runs[-1].config == config else None
    if deployed is None:
        raise NotTested(
            f"no run that succeeded has deployed {config}: its smoke test is not known to have passed",
            where=where,
            hint=f"{run} --force",
        )
    how = _agrees(root, tag, settings, clients, facts, runs)
    if not how:
        raise _other(root, tag, settings, clients, version, facts)
    return Tested(
        package=package,
        repository=place.partition("/")[2],
        digest=digest or str(container.get("ImageDigest", "")),
        model_url=str(container["ModelDataUrl"]),
        etag=str(container.get("ModelDataETag", "")),
        config=config,
        execution=deployed.arn,
        how=how,
    )


def serving(settings: Settings, clients: Clients) -> tuple[str, dict[str, Any]]:
    """(endpoint config, DescribeModelPackage) of what the pipeline's endpoint serves.

    Raises:
        NotTested: there is no endpoint, it is not InService, or it serves something else than one version.
    """
    from botocore.exceptions import ClientError

    name, sagemaker = settings.stack_name, clients.sagemaker
    where = f"endpoint {name}"
    run = f"pipeline run {settings.name} -e {settings.environment_name}"
    try:
        endpoint = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if code(error) == "ValidationException" and "Could not find" in message(error):
            raise NeverDeployed("there is no such endpoint", where=where, hint=run) from error
        raise
    config = str(endpoint["EndpointConfigName"])
    if endpoint["EndpointStatus"] != "InService" or endpoint.get("PendingDeploymentSummary"):
        reason = endpoint.get("FailureReason", "")
        raise NotTested(
            f"it is {endpoint['EndpointStatus']}, not InService{f': {reason}' if reason else ''}",
            where=where,
            hint=f"wait for it, or see: pipeline status {settings.name} -e {settings.environment_name}",
        )
    variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    models = sorted({variant["ModelName"] for variant in variants})
    if len(models) != 1:
        raise NotTested(f"it serves {len(models)} models: {', '.join(models)}", where=where)
    model = sagemaker.describe_model(ModelName=models[0])
    primary = model.get("PrimaryContainer") or (model.get("Containers") or [{}])[0]
    arn = primary.get("ModelPackageName", "")
    if not arn:
        raise NotTested(
            f"its model {models[0]} was not made from a registered version", where=where, hint=run
        )
    return config, dict(sagemaker.describe_model_package(ModelPackageName=arn))


def _runs_since(settings: Settings, clients: Clients, config: str) -> Iterator[Run]:
    """Runs that succeeded, newest first, the last of them the one that deployed `config` if it is found."""
    for run in history.runs(settings, clients):
        yield run
        if run.config == config:
            return


def _agrees(
    root: Path,
    tag: Tag,
    settings: Settings,
    clients: Clients,
    facts: Mapping[str, str],
    runs: list[Run],
) -> str:
    """Why what serves is what the tag says; empty if it is not."""
    paths = sources(settings)
    for key, made in (("git_sha", "made from"), ("promoted_commit", "promoted to here from")):
        commit = facts.get(key, "")
        if commit and content.same(root, commit, tag.commit, paths):
            same = "" if commit == tag.commit else ", which has the same content"
            return f"{made} commit {commit[:12]}{same}"
    # Reused: the state machine that is applied from this very content took the version for the right one.
    applied, changed = _applied(settings, clients)
    if applied and content.same(root, applied, tag.commit, paths):
        chosen = [run for run in runs if not run.given and run.started > changed]
        if chosen:
            return f"made from commit {facts.get('git_sha', '')[:12] or '?'}, and the same by fingerprint"
    return ""


def _applied(settings: Settings, clients: Clients) -> tuple[str, Any]:
    """(the commit that the environment's stack is applied from, when it was last changed)."""
    stack = stacks.describe(clients, settings.stack_name)
    if stack is None:
        return "", None
    return stack.parameters.get("GitSha", ""), stack.changed


def _other(
    root: Path, tag: Tag, settings: Settings, clients: Clients, version: Any, facts: Mapping[str, str]
) -> NotTested:
    """What serves instead of what the tag says, and what to do."""
    environment, commit = settings.environment_name, facts.get("git_sha", "")
    applied, _ = _applied(settings, clients)
    wanted = content.last_change(root, tag.commit, sources(settings))
    text = f"{environment} serves version {version} made from commit {commit[:12] or 'unknown'}"
    if commit.endswith("-dirty"):
        text += " with changes that were never committed"
    elif commit and content.same(root, commit, tag.commit, sources(settings)) is None:
        text += ", which is not in this clone"
    text += f"; {tag.name} is {tag.commit[:12]}, whose content is of {wanted[:12] or 'no commit'}"
    if applied and not content.same(root, applied, tag.commit, sources(settings)):
        text += f"; {environment} itself is applied from {applied[:12]}"
        hint = f"tag what {environment} serves, or deploy the tag's commit there first: merge it, or\n"
        hint += f"    git checkout {tag.name} && pipeline apply {settings.name} -e {environment} && "
        hint += f"pipeline run {settings.name} -e {environment}"
    else:
        hint = f"let {environment} test it: pipeline run {settings.name} -e {environment}"
    return NotTested(text, where=f"endpoint {settings.stack_name}", hint=hint)
