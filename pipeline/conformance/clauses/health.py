"""`serve` comes up: on the right port, in time, and healthy only when it can answer."""

from __future__ import annotations

from pipeline.conformance import pages
from pipeline.conformance.client import Answer, NoAnswer
from pipeline.conformance.model import Broken, Skip, clause
from pipeline.conformance.serving import DEFAULT_PORT
from pipeline.conformance.session import Session

# Of the pings sent to an idle server.
_PINGS = 5


@clause(
    "CT201",
    "`serve` answers GET /ping with 200 once it is ready",
    "must",
    pages.PING,
    "Listen on all addresses and answer /ping; SageMaker waits 8 minutes for the first 200 "
    "(ContainerStartupHealthCheckTimeoutInSeconds), this test waits --start-seconds.",
)
def becomes_healthy(session: Session) -> str:
    server = session.main
    if server.process.refused:
        raise Skip("`serve` cannot be executed")
    if not server.healthy:
        raise Broken(server.trouble)
    return f"first 200 after {server.healthy_after:.2f} s"


@clause(
    "CT202",
    "/ping is 200 only once the model is loaded",
    "must",
    pages.PING,
    "Answer /ping with 503 until the model is loaded, and end the program when it cannot be loaded.",
)
def healthy_means_loaded(session: Session) -> str:
    server = session.up()
    session.request()
    first = server.first_answer
    if not isinstance(first, Answer) or first.status != 200:
        if session.answering:
            raise Broken(f"the request right after the first 200 was answered {first}, a later one 200")
        raise Skip("it does not answer the request at all")
    empty = session.folder / "no-model"
    empty.mkdir()
    without = session.serve("serve-empty", server.how, empty)
    if not without.wait_until_healthy(3 * (server.healthy_after or 0) + 1):
        return "a request right after the first 200 is answered; without a model there is no 200"
    if isinstance(without.first_answer, Answer) and without.first_answer.status == 200:
        return "a request right after the first 200 is answered (without a model too: it is in the image)"
    raise Broken(
        f"with an empty /opt/ml/model /ping is 200, and a request is answered {without.first_answer}"
    )


@clause(
    "CT203",
    "every /ping is answered within 2 seconds",
    "must",
    pages.PING,
    "Answer /ping from memory, beside the requests: a container that misses it is replaced.",
)
def pings_in_time(session: Session) -> str:
    server = session.up()
    slowest = 0.0
    for _ in range(_PINGS):
        try:
            answer = server.ping()
        except NoAnswer as error:
            raise Broken(str(error)) from None
        if answer.status != 200:
            raise Broken(f"/ping was 200, then {answer}")
        slowest = max(slowest, answer.seconds)
    return f"{_PINGS} pings, the slowest {slowest * 1000:.0f} ms"


@clause(
    "CT204",
    f"`serve` listens on port {DEFAULT_PORT} when it is told no other",
    "must",
    pages.REQUESTS,
    f"Listen on {DEFAULT_PORT}, unless SAGEMAKER_BIND_TO_PORT is set.",
)
def listens_on_8080(session: Session) -> str:
    server = session.variant("serve-8080", told_port=False)
    if not server.healthy:
        raise Broken(f"without SAGEMAKER_BIND_TO_PORT: {server.trouble}")
    if server.port != DEFAULT_PORT:
        raise Broken(f"it listens on {server.port}")
    return f"it listens on {DEFAULT_PORT}"


@clause(
    "CT205",
    "`serve` listens on SAGEMAKER_BIND_TO_PORT when that is set",
    "should",
    pages.BIND_TO_PORT,
    "Read the port from SAGEMAKER_BIND_TO_PORT, and say so: LABEL "
    "com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true. Endpoints of several containers need it.",
)
def listens_where_told(session: Session) -> str:
    server = session.up()
    if server.port != server.wanted:
        raise Broken(f"SAGEMAKER_BIND_TO_PORT was {server.wanted}, and it listens on {server.port}")
    return f"told {server.wanted}, it listens there"


@clause(
    "CT206",
    "`serve` logs to stdout or stderr",
    "should",
    pages.LOGS,
    "Print when the model is loaded and why a request failed: what is printed is all that CloudWatch gets.",
)
def serve_logs(session: Session) -> str:
    lines = [line for line in session.up().lines if line.strip()]
    if not lines:
        raise Broken("`serve` printed nothing, neither at its start nor at a request")
    return f"{len(lines)} lines"
