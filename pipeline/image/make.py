"""The image of a source, whatever it takes: found in the registry, else built here and pushed."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.aws.errors import told
from pipeline.aws.pace import Pace
from pipeline.errors import ApplyError
from pipeline.image import buildx, resolve, sbom
from pipeline.image import engine as engines
from pipeline.image.build import build
from pipeline.image.engine import Engine, spoken
from pipeline.image.labels import FINGERPRINT, labels
from pipeline.image.login import login
from pipeline.image.push import push

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

Say = Callable[[str], None]
# How long the API may lag behind the push.
_SEEN_SECONDS = 20.0


def ensure(clients: Clients, settings: Settings, wanted: resolve.ImageSource, say: Say) -> resolve.ImageRef:
    """The image of this source by digest; built and pushed if the registry lacks it and an engine answers.

    Raises:
        ApplyError: the registry lacks it and no engine answers, or building or pushing failed.
        TargetError: the registry or the engine went away.
    """
    found = resolve.lookup(clients, wanted)
    if found is not None:
        say(f"image {wanted.repository}:{wanted.tag} is in the registry: not built, not pushed")
        return found
    engine = engines.find()
    if engine is None:
        return resolve.require(clients, wanted)
    began = time.monotonic()
    try:
        found = _make(clients, settings, wanted, engine, say)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        hint = "make room, then apply again"
        raise ApplyError(f"the disk is full: {error}", where=str(wanted.folder), hint=hint) from error
    say(f"  {found.repository}@{found.digest} ({time.monotonic() - began:.1f} s)")
    return found


def _make(
    clients: Clients, settings: Settings, wanted: resolve.ImageSource, engine: Engine, say: Say
) -> resolve.ImageRef:
    name = f"{wanted.repository}:{wanted.tag}"
    if _built(engine, name, wanted.tag):
        say(f"image {name}: built already by {engine}, to be pushed")
    else:
        say(f"image {name}: building with {engine}")
        about = labels(Path(settings.root), wanted.folder, wanted.tag, wanted.arguments)
        cache = _cache(clients, wanted) if buildx.usable(engine) else None
        build(engine, wanted.folder, name, wanted.arguments, about, say, cache)
    say(f"image {name}: pushing")
    digest = push(clients, engine, name, wanted.repository, wanted.tag, say)
    found = _verified(clients, wanted, digest)
    bill = sbom.make(engine, name, wanted.folder, wanted.repository, digest)
    where = sbom.store(clients, settings.artifact_bucket, digest, bill)
    say(f"  bill of materials ({len(bill['components'])} components): {where}")
    return found


def _cache(clients: Clients, wanted: resolve.ImageSource) -> buildx.Cache | None:
    """The last image pushed, whose layers are likely the new one's."""
    tag = resolve.newest_tag(clients, wanted.repository)
    if tag is None:
        return None
    registry = login(clients)
    return buildx.Cache(f"{registry.host}/{wanted.repository}:{tag}", registry)


def _built(engine: Engine, name: str, tag: str) -> bool:
    """Whether an earlier attempt got as far as the built image."""
    from docker.errors import ImageNotFound

    with spoken("looking for the image", engine):
        try:
            return engine.client.images.get(name).labels.get(FINGERPRINT) == tag
        except ImageNotFound:
            return False


def _verified(clients: Clients, wanted: resolve.ImageSource, digest: str) -> resolve.ImageRef:
    """The image as the registry tells it: that digest, of a kind that SageMaker runs."""
    pace, deadline = Pace(first=0.2, longest=2), time.monotonic() + _SEEN_SECONDS
    while True:
        try:
            found = resolve.lookup(clients, wanted)
        except resolve.NotRunnable:
            _take_back(clients, wanted)
            raise
        if found is not None or time.monotonic() > deadline:
            break
        pace.wait()
    if found is None:
        raise ApplyError(
            f"{wanted.repository}:{wanted.tag} was pushed, and the registry does not know it",
            where=wanted.repository,
            hint="apply again",
        )
    if found.digest != digest:
        raise ApplyError(
            f"{wanted.repository}:{wanted.tag} means {found.digest} in the registry, pushed was {digest}",
            where=wanted.repository,
            hint="somebody else pushed the same source meanwhile, and theirs is as good: apply again",
        )
    return found


def _take_back(clients: Clients, wanted: resolve.ImageSource) -> None:
    """Remove what was pushed just now and cannot be run: the tag would stand in the way for ever."""
    with told(clients.target.name):
        clients.ecr.batch_delete_image(repositoryName=wanted.repository, imageIds=[{"imageTag": wanted.tag}])
