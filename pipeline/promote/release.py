"""A release: what one environment tested brought to the next, step by step, each only where it is needed.

    find      the version that the source environment serves, if it is what the tag says
    account   bucket and image repository over there, if they are not there yet
    image     by digest, from registry to registry
    stack     the pipeline's stack, applied from the tag's own content by the tag's own code
    artifact  model and reports, with their checksums
    register  a version in the environment's own group, with where it is from
    deploy    the state machine with that version; it asks for approval where the settings say so

Every step looks first at what is there, so a release that was interrupted anywhere is begun again and goes
on; a release that is done does nothing. Nothing is built and nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.apply import stack as stacks_apply
from pipeline.aws.errors import code, told
from pipeline.errors import ApplyError, SettingsError
from pipeline.image import resolve
from pipeline.names import Names
from pipeline.plan import planner
from pipeline.promote import deploy, images, objects, package, tested
from pipeline.promote.tags import Tag
from pipeline.promote.tested import NotTested, Tested
from pipeline.render.account import containers

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.execution.start import Started
    from pipeline.settings.model import Settings

Say = Callable[[str], None]
Apply = Callable[[], str]


@dataclass(frozen=True)
class Way:
    """From where to where one pipeline is released.

    Args:
        root: the repository, for its history.
        origin, goal: settings of both environments, as the tag's content has them.
        source: clients that may read in the one; target: that may write in the other.
    """

    root: Path
    tag: Tag
    origin: Settings
    goal: Settings
    source: Clients
    target: Clients


@dataclass
class Released:
    """What a release did and found. `steps`: what each step did, in words."""

    pipeline: str
    tag: str
    commit: str
    origin: str
    goal: str
    promoted_from: str
    how: str
    image: str
    image_digest: str
    model_sha256: str = ""
    model_url: str = ""
    package: str = ""
    approval: str = ""
    execution: str = ""
    endpoint_config: str = ""
    status: str = ""
    steps: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def role(settings: Settings) -> str:
    """ARN of the role that lets others read what the environment of `settings` tested."""
    name = f"{settings.project.name}-{settings.environment_name}-promotion-source"
    return Names.of(settings).arn("iam", f"role/{name}", region="")


def origin_of(settings: Settings) -> str:
    """The environment that this one is promoted from.

    Raises:
        SettingsError: the settings name none.
    """
    name = settings.environment.promote_from
    if not name:
        raise SettingsError(
            f"nothing is promoted to {settings.environment_name}: its settings do not say from where",
            where=f"pipeline.toml: environments.{settings.environment_name}",
            hint='add promote_from = "staging" there',
        )
    return name


def find(way: Way) -> tuple[Tested, resolve.ImageSource]:
    """What is to be released, and the tag of its image. Reads only.

    Raises:
        NotTested: the source environment does not serve what the tag says, or by another image.
    """
    found = tested.find(way.root, way.tag, way.origin, way.source)
    wanted = resolve.source(way.goal)
    # What the run says of itself is one thing, what the tag's container folder hashes to another.
    held = images.held(way.source, wanted.repository, wanted.tag)
    if (found.repository, found.digest) != (wanted.repository, held):
        raise NotTested(
            f"it runs {found.repository}@{found.digest[:19]}..., {way.tag.name} is {wanted.repository}:"
            f"{wanted.tag}, which is {held[:19] + '...' if held else 'in no image there'}",
            where=f"endpoint {way.origin.stack_name}",
            hint=f"let {way.origin.environment_name} test the tag's container; was it built with another "
            "base image, set PIPELINE_BASE_IMAGE as it was then",
        )
    return found, wanted


def begin(way: Way, found: Tested, wanted: resolve.ImageSource) -> Released:
    """The record of a release of `found` that has not begun."""
    return Released(
        pipeline=way.goal.name,
        tag=way.tag.name,
        commit=way.tag.commit,
        origin=way.origin.environment_name,
        goal=way.goal.environment_name,
        promoted_from=found.arn,
        how=found.how,
        image=f"{resolve.registry(way.target)}/{wanted.repository}@{found.digest}",
        image_digest=found.digest,
    )


def bring(
    way: Way, found: Tested, wanted: resolve.ImageSource, apply: Apply, done: Released, say: Say
) -> Started | None:
    """All steps up to the start of the deployment; the run, or None where the version serves already.

    Args:
        apply: applies the tag's content to the environment; the URI of the image it used.
        done: is filled in.

    Raises:
        Declined, Changed, ApplyError: as the steps have them.
    """
    # What was rejected here before is refused before anything is touched.
    known = package.find(way.goal, way.target, found, way.tag) if _has_group(way) else None
    done.steps["account"] = _account(way, wanted, say)
    done.steps["image"] = _image(way, found, wanted, say)
    say(f"applying {way.tag.name} to {way.goal.environment_name}")
    used = apply()
    if used != done.image:
        raise ApplyError(
            f"{way.goal.environment_name} was applied with {used}, tested was {done.image}",
            where=way.goal.stack_name,
            hint="promote again; if it stays so, see `pipeline plan`",
        )
    done.steps["stack"] = "applied from the tag"
    copies = _artifacts(way, found, done, known, say)
    version = package.register(way.goal, way.target, found, way.tag, copies)
    done.package, done.approval = str(version["ModelPackageArn"]), str(version["ModelApprovalStatus"])
    done.steps["register"] = "registered" if known is None else "was registered"
    return _deploy(way, done, say)


def _deploy(way: Way, done: Released, say: Say) -> Started | None:
    deploy.require_entrance(way.goal, way.target)
    serving = deploy.now(way.goal, way.target)
    if serving is not None and serving.package == done.package and done.approval == "Approved":
        done.steps["deploy"] = "serves already"
        return None
    started = deploy.start(
        way.goal, way.target, done.package, f"promotion {way.tag.name}", given=False, sha=way.tag.commit
    )
    done.execution = started.arn
    done.steps["deploy"] = "was started" if started.attached else "started"
    say(f"{'attached to' if started.attached else 'started'} {started.name}")
    return started


def finish(way: Way, done: Released) -> Released:
    """The record with what the endpoint serves, proven to be what was released.

    Raises:
        ExecutionError: it is not.
    """
    serving = deploy.require(way.goal, way.target, done.package, done.model_sha256)
    done.endpoint_config, done.status, done.approval = serving.config, "serves", "Approved"
    return done


def _account(way: Way, wanted: resolve.ImageSource, say: Say) -> str:
    """Bucket and repository have to be there before anything can be copied: the account's stack has them."""
    from botocore.exceptions import ClientError

    bucket = way.goal.artifact_bucket
    with told(way.target.target.name):
        try:
            way.target.s3.head_bucket(Bucket=bucket)
            way.target.ecr.describe_repositories(repositoryNames=[wanted.repository])
            return "was there"
        except ClientError as error:
            if code(error) not in {"404", "NoSuchBucket", "NotFound", "RepositoryNotFoundException"}:
                raise
        action = planner.compute(way.goal, way.target).account_stack
        say(f"account stack {action.stack_name}: {action.operation}")
        stacks_apply.carry_out(way.target, action, dict(action.parameters), bucket, say)
    return "made"


def _image(way: Way, found: Tested, wanted: resolve.ImageSource, say: Say) -> str:
    if (way.source.account, way.source.region) == (way.target.account, way.target.region):
        return "same registry"
    project = way.goal.project.name
    siblings = [f"{project}/{name}" for name in containers(Path(way.goal.root))]
    copied = images.replicate(
        way.source, way.target, wanted.repository, found.digest, wanted.tag, say, siblings
    )
    return "copied" if copied else "was there"


def _artifacts(
    way: Way, found: Tested, done: Released, known: dict[str, Any] | None, say: Say
) -> package.Copies:
    """Model and reports, in the environment's own bucket under its own names."""
    there = objects.Place.of(found.model_url)
    here = objects.Place(way.goal.artifact_bucket, _model_key(way, there.key))
    promised = (known or {}).get("CustomerMetadataProperties", {}).get("model_sha256", "")
    model = objects.copy(way.source, there, way.target, here, say, tested=found.etag, sha256=promised)
    moved = {}
    for uri in package.reports(found.package):
        report = objects.Place.of(uri)
        place = objects.Place(way.goal.artifact_bucket, _report_key(way, report.key))
        moved[uri] = str(objects.copy(way.source, report, way.target, place, say).place)
    done.model_sha256, done.model_url = model.sha256, str(model.place)
    done.steps["artifact"] = "copied" if model.new else "was there"
    return package.Copies(done.image, str(model.place), model.sha256, moved)


def _model_key(way: Way, key: str) -> str:
    """Where the environment's own models lie, under its own name: its roles may read there and nowhere else,
    and whoever takes the other environment down takes nothing from this one.
    """
    rest = key.removeprefix(way.origin.pipeline.data.prefix)
    theirs, ours = f"{way.origin.stack_name}-", f"{way.goal.stack_name}-"
    parts = [
        ours + part.removeprefix(theirs) if part.startswith(theirs) else part for part in rest.split("/")
    ]
    return way.goal.pipeline.data.prefix + "/".join(parts)


def _report_key(way: Way, key: str) -> str:
    return f"{way.goal.stack_name}/{key.removeprefix(f'{way.origin.stack_name}/')}"


def _has_group(way: Way) -> bool:
    from botocore.exceptions import ClientError

    with told(way.target.target.name):
        try:
            way.target.sagemaker.describe_model_package_group(ModelPackageGroupName=way.goal.stack_name)
        except ClientError as error:
            if code(error) in {"ValidationException", "ResourceNotFound"}:
                return False
            raise
    return True
