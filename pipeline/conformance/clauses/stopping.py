"""`serve` ends when it is told to, as any program and as process 1."""

from __future__ import annotations

from dataclasses import replace

from pipeline.conformance import pages
from pipeline.conformance.model import Broken, Skip, clause
from pipeline.conformance.serving import Server
from pipeline.conformance.session import Session

_HANDLE = (
    "Handle SIGTERM: stop accepting, answer what is open, exit. In the Dockerfile use ENTRYPOINT's and CMD's "
    'exec form (["serve"]), and `exec` in shell scripts, so that the signal arrives.'
)


def _ended(server: Server, session: Session) -> float:
    code, seconds = server.stop()
    if code is None:
        raise Broken(f"{session.waits.stop:g} s after SIGTERM it still ran")
    return seconds


@clause("CT401", "SIGTERM ends `serve` within 30 seconds", "must", pages.RUN_IMAGE, _HANDLE)
def ends_on_sigterm(session: Session) -> str:
    # Not as process 1: here a program that never heard of signals ends as well.
    server = session.variant("serve-stop", first=False)
    if not server.healthy:
        raise Skip("a second `serve` did not become healthy")
    session.ends = False
    seconds = _ended(server, session)
    session.ends = True
    return f"after {seconds:.2f} s"


@clause(
    "CT402",
    "SIGTERM ends `serve` as process 1 of its container",
    "must",
    pages.RUN_IMAGE,
    _HANDLE + " Process 1 gets no default action: a program without a handler ignores SIGTERM.",
)
def ends_as_process_1(session: Session) -> str:
    if session.ends is False:
        raise Skip("SIGTERM does not end it at all")
    server = session.up()
    if not server.how.first:
        raise Skip(session.lacking(replace(server.how, first=True)))
    # SageMaker keeps connections open: an idle one must not hold the server back.
    kept = server.connection()
    try:
        kept.send("GET", "/ping")
        session.ended_after = _ended(server, session)
    finally:
        kept.close()
    return f"after {session.ended_after:.2f} s"


@clause(
    "CT403",
    "an idle `serve` ends promptly, also while a connection is open",
    "should",
    pages.RUN_IMAGE,
    "Close idle connections and end as soon as no request is open: deployments wait for it.",
)
def ends_promptly(session: Session) -> str:
    seconds = session.ended_after
    if seconds is None:
        raise Skip("SIGTERM does not end it, or could not be tried")
    if seconds > session.waits.prompt:
        raise Broken(f"it ended {seconds:.1f} s after SIGTERM, idle but for one open connection")
    return f"after {seconds:.2f} s, with an idle connection open"
