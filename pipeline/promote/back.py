"""The way back: which version served before, whether it still can, and deploying it by the state machine.

Runs under way are stopped first (or waited for, if that is asked): each of them would deploy its own model
over the one that was just put back. A version that was rolled back from is marked so in the registry, so
that the next rollback does not come back to it and no promotion brings it again; whoever names it with `--to`
takes the mark away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, message, told
from pipeline.aws.pace import Pace
from pipeline.errors import ExecutionError
from pipeline.promote import deploy, earlier
from pipeline.promote.package import ROLLED_BACK, text

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.execution.start import Started
    from pipeline.settings.model import Settings

Say = Callable[[str], None]


@dataclass
class RolledBack:
    """What a rollback did. `left`, `now`: versions; `stopped`: runs that were ended for it."""

    pipeline: str
    environment: str
    reason: str
    left: int
    left_package: str
    now: int
    package: str
    chosen: str
    git_left: str
    git_now: str
    stopped: list[str] = field(default_factory=list)
    execution: str = ""
    endpoint_config: str = ""
    seconds: float = 0.0
    git: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def choose(settings: Settings, clients: Clients, to: str | None, reason: str) -> RolledBack:
    """Which version to put back, and from which; nothing is changed.

    Args:
        to: a version's number or ARN; None: the one that served before.

    Raises:
        NoWayBack: nothing serves, it serves that already, it is not approved, or it is gone.
        SettingsError: `to` is no version of this pipeline in this environment.
    """
    with told(clients.target.name):
        named = earlier.named(settings, clients, to) if to is not None else None
        current = earlier.current(settings, clients)
        left = str((current or {}).get("ModelPackageArn", ""))
        chosen, package = ("named", named) if named else earlier.before(settings, clients, current)
        earlier.require(clients, package, left)
    return RolledBack(
        pipeline=settings.name,
        environment=settings.environment_name,
        reason=reason,
        left=int((current or {}).get("ModelPackageVersion", 0)),
        left_package=left,
        now=int(package["ModelPackageVersion"]),
        package=str(package["ModelPackageArn"]),
        chosen=chosen,
        git_left=earlier.facts(current).get("git_sha", ""),
        git_now=earlier.facts(package).get("git_sha", ""),
    )


def begin(settings: Settings, clients: Clients, done: RolledBack, say: Say, *, wait: bool) -> Started:
    """End (or wait for) the runs under way, and start the deployment.

    Raises:
        ApplyError: the deployed state machine cannot deploy a given version.
    """
    deploy.require_entrance(settings, clients)
    pace, waited = Pace(), set[str]()
    while others := [r for r in deploy.running(settings, clients) if r.package != done.package]:
        if not wait:
            for run in others:
                say(f"stopping {run.name} ({run.why}): it would deploy over the version that is put back")
                _stop(clients, run.arn, done.reason)
                done.stopped.append(run.name)
            break
        for run in others:
            if run.arn not in waited:
                say(f"waiting for {run.name} ({run.why}) to end; without --wait it would be stopped")
                waited.add(run.arn)
        pace.wait()
    started = deploy.start(settings, clients, done.package, f"rollback: {done.reason}", given=True)
    done.execution = started.arn
    say(f"{'attached to' if started.attached else 'started'} {started.name}")
    return started


def finish(settings: Settings, clients: Clients, done: RolledBack) -> RolledBack:
    """The record with what the endpoint serves, proven to be the version that was asked for.

    Raises:
        ExecutionError: it is not.
    """
    done.endpoint_config = deploy.require(settings, clients, done.package).config
    with told(clients.target.name):
        if done.left_package:
            mark = text(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {done.reason}")
            clients.sagemaker.update_model_package(
                ModelPackageArn=done.left_package, CustomerMetadataProperties={ROLLED_BACK: mark}
            )
        found = clients.sagemaker.describe_model_package(ModelPackageName=done.package)
        if ROLLED_BACK in earlier.facts(found):
            clients.sagemaker.update_model_package(
                ModelPackageArn=done.package, CustomerMetadataPropertiesToRemove=[ROLLED_BACK]
            )
    return done


def _stop(clients: Clients, arn: str, reason: str) -> None:
    with told(clients.target.name):
        try:
            clients.stepfunctions.stop_execution(
                executionArn=arn,
                error="RolledBack",
                cause=f"stopped by `pipeline rollback`: {reason}"[:32768],
            )
        except ClientError as error:
            if code(error) != "ExecutionDoesNotExist":
                raise ExecutionError(f"cannot stop it: {message(error)}", where=arn) from error
