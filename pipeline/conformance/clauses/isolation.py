"""The image can do with little: no network, a read-only model, no privileges."""

from __future__ import annotations

from dataclasses import replace

from pipeline.conformance import folders, pages
from pipeline.conformance.model import Broken, Skip, clause
from pipeline.conformance.serving import SERVE, Server
from pipeline.conformance.session import Session
from pipeline.conformance.training import TRAIN

_BRING = (
    "Put all that is needed into the image or a channel: pipelines here isolate their containers by default."
)


def _works(session: Session, server: Server, circumstances: str) -> None:
    """Raise Broken unless a server in harder circumstances is healthy and answers as the main one does."""
    if not server.healthy:
        raise Broken(f"{circumstances}: {server.trouble}")
    if session.subject.request is not None and session.answering and not server.answers():
        answer = server.attempt(session.subject.request)
        raise Broken(f"{circumstances}, the good request is answered {answer}{server.last_words()}")


def _isolates(session: Session, command: tuple[str, ...]) -> None:
    """Raise Skip where a program cannot be cut off from the network."""
    how = session.possible(command)
    if how.network:
        raise Skip(session.lacking(replace(how, network=False), command=command))


@clause("CT301", "`train` needs no network", "should", pages.ISOLATION, _BRING)
def trains_alone(session: Session) -> str:
    _isolates(session, TRAIN)
    if session.successful().network:
        raise Broken(f"{session.as_asked.ended}; with a network it succeeds")
    return "it had none"


@clause("CT302", "`serve` needs no network", "should", pages.ISOLATION, _BRING)
def serves_alone(session: Session) -> str:
    _isolates(session, SERVE)
    if not session.main.healthy:
        raise Skip("`serve` never became healthy")
    if session.main.how.network:
        raise Broken(f"{session.isolated.trouble}; with a network it becomes healthy")
    return "it had none"


@clause(
    "CT303",
    "`serve` does not write to /opt/ml/model, which is read-only",
    "must",
    pages.LOAD_MODEL,
    "Write caches and compiled models to a temporary folder.",
)
def leaves_the_model_alone(session: Session) -> str:
    server = session.main
    if not server.healthy:
        raise Skip("`serve` never became healthy")
    changed = folders.differences(folders.contents(session.model), folders.contents(server.model))
    if changed:
        raise Broken(f"written to /opt/ml/model: {folders.listed(changed)}")
    _works(
        session, session.variant("serve-read-only", read_only_model=True), "with a read-only /opt/ml/model"
    )
    return "it works on a read-only mount"


@clause(
    "CT304",
    "`serve` works as a user without privileges",
    "should",
    pages.RUN_IMAGE,
    "Let everybody read the image's files, and write to temporary folders only. (SageMaker itself starts "
    "containers as root; one that needs no root can give it up once it has started.)",
)
def needs_no_root(session: Session) -> str:
    server = session.unprivileged()
    _works(session, server, f"as user {server.how.user}")
    return f"it works as user {server.how.user}{server.process.notes}"
