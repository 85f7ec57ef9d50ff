"""Push an image to ECR; what breaks on the way is repeated with a fresh token, and goes on where it was.

A layer that is in the repository is not sent again, so a repeat, within a call or by the next command,
sends only what is missing. Errors come as events of the stream, not as exceptions.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.aws.pace import Pace
from pipeline.errors import ApplyError, TargetError
from pipeline.image.engine import Engine, spoken
from pipeline.image.login import Login, login

if TYPE_CHECKING:
    from pipeline.aws import Clients

Say = Callable[[str], None]
ATTEMPTS = 5
_TELL_SECONDS = 2.0
# What a registry, or the network to it, says when the next try may do better. The texts are ECR's and the
# distribution client's.
_EXPIRED = re.compile(
    r"token has expired|no basic auth credentials|unauthorized|authentication required", re.I
)
_BUSY = re.compile(r"toomanyrequests|too many requests|throttl|rate exceeded", re.I)
_BROKEN = re.compile(
    r"connection re(fused|set)|broken pipe|\bEOF\b|timeout|timed out|\b50[0234]\b|unavailable|TLS handshake"
    r"|no such host|server misbehaving|use of closed|blob upload unknown|unknown: unknown",
    re.I,
)
_HELD = re.compile(r"tag invalid|immutable", re.I)
# Docker ends its stream with the digest as data as well, podman with this line alone.
_ENDED = re.compile(r"^\S+: digest: (sha256:[0-9a-f]{64})\b")


class TagHeld(ApplyError):
    """The immutable tag is there, with another image."""


def push(clients: Clients, engine: Engine, local_name: str, repository: str, tag: str, say: Say) -> str:
    """Push the engine's image `local_name` as `repository:tag`; the digest that the push ended with.

    Raises:
        TagHeld: the tag is there and means another image.
        ApplyError: it did not succeed, also after repeats.
        TargetError: the engine or the API went away.
    """
    pace = Pace(first=0.5, longest=8)
    error = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            say(f"  again ({error})")
            pace.wait()
        registry = login(clients)
        name = f"{registry.host}/{repository}"
        with spoken("pushing", engine):
            engine.client.images.get(local_name).tag(name, tag)
            try:
                events = engine.client.api.push(
                    name, tag=tag, auth_config=registry.auth_config, stream=True, decode=True
                )
                digest, error = follow(events, say)
            finally:
                _untag(engine, f"{name}:{tag}")
        if digest and not error:
            return digest
        if _HELD.search(error):
            raise TagHeld(
                f"{repository}:{tag} is in the registry already, with another image: {error}",
                where=registry.host,
                hint="somebody else pushed the same source meanwhile, and theirs is as good: apply again",
            )
        if not any(kind.search(error) for kind in (_EXPIRED, _BUSY, _BROKEN)):
            break
    raise _failed(error, repository, registry)


def follow(events: Iterable[Mapping[str, Any]], say: Say) -> tuple[str, str]:
    """Tell a push's events; (digest, error), each empty where there is none."""
    digest = error = ""
    layers: dict[str, str] = {}
    sent: dict[str, int] = {}
    told = time.monotonic()
    for event in events:
        if "error" in event:
            error = " ".join(str(event["error"]).split())
        if isinstance(event.get("aux"), dict):
            digest = str(event["aux"].get("Digest", digest))
        layer, status = event.get("id"), str(event.get("status", ""))
        ended = _ENDED.match(status)
        if ended:
            digest = ended[1]
        if layer:
            layers[layer] = status
            sent[layer] = int((event.get("progressDetail") or {}).get("current") or sent.get(layer, 0))
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            done = sum(status in ("Pushed", "Layer already exists") for status in layers.values())
            say(f"  {done} of {len(layers)} layers, {sum(sent.values()) / 1e6:.0f} MB")
    there = sum(status == "Layer already exists" for status in layers.values())
    if digest and not error:
        say(f"  {len(layers) - there} layers pushed, {there} were there" if layers else "  pushed")
    elif not digest and not error:
        error = "the push ended without a digest: connection reset"
    return digest, error


def _untag(engine: Engine, name: str) -> None:
    """The name with the registry's host was for this push only."""
    from docker.errors import ImageNotFound

    try:
        engine.client.images.remove(name, noprune=True)
    except ImageNotFound:
        return


def _failed(error: str, repository: str, registry: Login) -> ApplyError | TargetError:
    where = f"{registry.host}/{repository}"
    if _BUSY.search(error):
        return TargetError(f"the registry is throttled, also after repeats: {error}", where=where)
    if "no space left" in error:
        return ApplyError(
            f"the push failed: {error}", where=where, hint="the registry's disk is full: make room"
        )
    if "denied" in error or _EXPIRED.search(error):
        hint = "the role in use needs ecr:PutImage, ecr:InitiateLayerUpload, ecr:UploadLayerPart, "
        hint += "ecr:CompleteLayerUpload and ecr:BatchCheckLayerAvailability on the repository"
        return ApplyError(f"the push was refused: {error}", where=where, hint=hint)
    hint = "apply again: layers that arrived are not sent again"
    if "HTTP response to HTTPS client" in error:
        hint = (
            "podman asks for TLS on this machine too; put into /etc/containers/registries.conf.d/local.conf\n"
        )
        hint += f'    [[registry]]\n    location = "{registry.host.partition(":")[0]}"\n    insecure = true'
    return ApplyError(f"the push failed: {error}", where=where, hint=hint)
