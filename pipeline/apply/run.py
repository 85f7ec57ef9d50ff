"""A plan carried out, in its order; a stack that somebody else changes is waited for and planned again."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.apply import account, stack
from pipeline.aws import stacks
from pipeline.aws.errors import told
from pipeline.aws.pace import Pace
from pipeline.errors import ApplyError
from pipeline.image import make, resolve
from pipeline.plan.model import Plan, StackAction, UploadAction
from pipeline.plan.planner import compute
from pipeline.plan.same import require_same
from pipeline.render import render

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# How often another's change may come between before it is a fault of its own.
ATTEMPTS = 6
Say = Callable[[str], None]


@dataclass
class Applied:
    """What an apply did: names of what changed, the image, the pipeline stack's outputs."""

    digest: str
    stacks: list[str] = field(default_factory=list)
    uploaded: list[str] = field(default_factory=list)
    image_uri: str = ""
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.stacks or self.uploaded)

    def as_dict(self) -> dict[str, Any]:
        return {"changed": self.changed, **asdict(self)}


def apply(
    plan: Plan, settings: Settings, clients: Clients, say: Say, reviewed: Plan | None = None
) -> Applied:
    """Carry out `plan`.

    Args:
        plan: as computed just now.
        reviewed: the plan that was read from a file, if there was one: whatever is planned again has to
            stay within it.

    Raises:
        ApplyError: something could not be changed; the stack was rolled back.
    """
    done, planned = Applied(digest=plan.digest), plan.changes
    try:
        with told(clients.target.name):
            pace = Pace(first=0.5, longest=5)
            for _ in range(ATTEMPTS):
                try:
                    _once(plan, settings, clients, say, done)
                    break
                except stack.BusyError as busy:
                    say(f"somebody else changes it too: {busy}")
                pace.wait()
                for action in plan.stacks:
                    stack.settled(clients, action.stack_name, say)
                plan = compute(settings, clients)
                if reviewed is not None:
                    require_same(reviewed, plan, "after another apply")
            else:
                raise ApplyError(
                    f"{settings.stack_name} is changed by others again and again",
                    hint="see who applies it, then try again",
                )
            deployed = stacks.describe(clients, settings.stack_name)
    except KeyboardInterrupt:
        _where_it_stands(plan, clients, say)
        raise
    done.outputs = deployed.outputs if deployed else {}
    if planned and not done.changed:
        say("No changes: another apply made them meanwhile.")
    return done


def _once(plan: Plan, settings: Settings, clients: Clients, say: Say, done: Applied) -> None:
    bucket = settings.artifact_bucket
    with account.hinted(plan.account_stack, plan.environment):
        action = account.prepare(clients, plan.account_stack, bucket, say)
        _change(clients, action, dict(action.parameters), bucket, say, done)
    _upload(plan, settings, clients, say, done)
    if settings.pipeline.build is not None:
        done.image_uri = _later(settings, clients, plan, say)
        _change(clients, plan.pipeline_stack, dict(plan.pipeline_stack.parameters), bucket, say, done)
        return
    image = make.ensure(clients, settings, resolve.source(settings), say)
    if image.tag != plan.image.tag or plan.image.digest not in {"", image.digest}:
        raise ApplyError(
            f"planned image {plan.image.tag} {plan.image.digest}, found {image.tag} {image.digest}",
            where=image.repository,
            hint="the container folder or the registry changed meanwhile: apply again",
        )
    done.image_uri = image.uri
    parameters = dict(plan.pipeline_stack.parameters)
    parameters.update(dict.fromkeys(plan.pipeline_stack.unresolved, image.uri))
    _change(clients, plan.pipeline_stack, parameters, bucket, say, done)


def _later(settings: Settings, clients: Clients, plan: Plan, say: Say) -> str:
    """The image that the workflow builds: by digest where the registry has it, else by its tag-to-be."""
    wanted = resolve.source(settings)
    name = f"{wanted.repository}:{wanted.tag}"
    if wanted.tag != plan.image.tag:
        raise ApplyError(
            f"planned image {plan.image.tag}, found {wanted.tag}",
            where=wanted.repository,
            hint="the container folder changed meanwhile: apply again",
        )
    found = resolve.lookup(clients, wanted)
    if found is None:
        say(f"image {name}: not built here; the next run has CodeBuild build it")
        return f"{resolve.registry(clients)}/{name}"
    say(f"image {name} is in the registry: runs build nothing")
    return found.uri


def _change(
    clients: Clients, action: StackAction, parameters: dict[str, str], bucket: str, say: Say, done: Applied
) -> None:
    if action.operation == "none" and action.status.endswith("_IN_PROGRESS"):
        # It agrees with the settings for now, but the change under way may turn it.
        raise stack.BusyError(action.status)
    if action.operation != "none":
        say(f"{action.kind} stack {action.stack_name}: {action.operation}")
    if stack.carry_out(clients, action, parameters, bucket, say) and action.stack_name not in done.stacks:
        done.stacks.append(action.stack_name)


def _upload(plan: Plan, settings: Settings, clients: Clients, say: Say, done: Applied) -> None:
    missing = [upload for upload in plan.uploads if not upload.present]
    if not missing:
        return
    held: dict[str, bytes] = {}
    for package in render(settings).code:
        content = package.path_or_bytes
        held[package.key] = content if isinstance(content, bytes) else Path(content).read_bytes()
    for upload in missing:
        if upload.key in done.uploaded:
            continue
        content = held.get(upload.key) or _template(plan, upload)
        digest = hashlib.sha256(content).digest()
        if digest.hex() != upload.sha256:
            raise ApplyError(f"{upload.what} is not what was planned", where=upload.key, hint="plan again")
        clients.s3.put_object(
            Bucket=upload.bucket,
            Key=upload.key,
            Body=content,
            ChecksumSHA256=base64.b64encode(digest).decode(),
        )
        say(f"  uploaded {upload.what} ({len(content)} bytes) to s3://{upload.bucket}/{upload.key}")
        done.uploaded.append(upload.key)


def _template(plan: Plan, upload: UploadAction) -> bytes:
    for action in plan.stacks:
        if upload.template and hashlib.sha256(action.template.encode()).hexdigest() == upload.sha256:
            return action.template.encode()
    raise ApplyError(f"nothing renders {upload.what} any more", where=upload.key, hint="plan again")


def _where_it_stands(plan: Plan, clients: Clients, say: Say) -> None:
    """After Ctrl-C: the stacks go on by themselves, so say what they are at."""
    say("interrupted. Where things stand:")
    for action in plan.stacks:
        stack_now = stacks.describe(clients, action.stack_name)
        say(f"  {action.kind} stack {action.stack_name}: {stack_now.status if stack_now else 'not there'}")
    say(f"CloudFormation finishes by itself what it began; go on with: pipeline apply {plan.name}")
