"""`serve` answers: good requests with a prediction, bad ones with a 4xx, many at once, large ones too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pipeline.conformance import pages
from pipeline.conformance.client import Answer, NoAnswer
from pipeline.conformance.folders import GARBAGE
from pipeline.conformance.model import Broken, Skip, clause
from pipeline.conformance.serving import Server, headers_of
from pipeline.conformance.session import Session
from pipeline.conformance.subject import LARGEST_BODY, Request

_THREADS, _EACH = 8, 4
_UNKNOWN = "application/x-conformance-test"
# Headers that InvokeEndpoint passes on, or that SageMaker may add.
_EXTRA = {
    "X-Amzn-SageMaker-Custom-Attributes": "trace=conformance",
    "X-Amzn-SageMaker-Inference-Id": "conformance-1",
    "X-Amzn-SageMaker-Added-Later": "to be ignored",
}


def _answering(session: Session) -> tuple[Server, Request]:
    """The main server, which answers the good request with 200. Raises Skip."""
    server, request = session.up(), session.request()
    if not session.answering:
        raise Skip("it does not answer the good request with 200")
    return server, request


def _still_well(server: Server, request: Request, after: str) -> None:
    answer = server.attempt(request)
    if not isinstance(answer, Answer) or answer.status != 200:
        raise Broken(f"after {after}, the good request is answered {answer}")


@clause(
    "CT211",
    "POST /invocations answers a good request with 200 within 60 seconds",
    "must",
    pages.REQUESTS,
    "Look at the log of `serve`; the request is the pipeline's smoke request, or --request.",
)
def answers(session: Session) -> str:
    server, request = session.up(), session.request()
    try:
        answer = server.invoke(request)
    except NoAnswer as error:
        raise Broken(str(error)) from None
    if answer.status != 200:
        raise Broken(f"{request.content_type} is answered {answer}{server.last_words()}")
    return f"200 with {len(answer.body)} bytes in {answer.seconds * 1000:.0f} ms"


@clause(
    "CT212",
    "an answer names its Content-Type, one that was asked for",
    "should",
    pages.FORMATS,
    "Set Content-Type to what the body is; where Accept asks for what cannot be made, answer 406.",
)
def names_its_type(session: Session) -> str:
    server, request = _answering(session)
    answer = server.invoke(request)
    given = answer.headers.get("content-type", "")
    if not given:
        raise Broken("the answer has no Content-Type")
    kind = given.partition(";")[0].strip().lower()
    wanted = [part.partition(";")[0].strip().lower() for part in request.accept.split(",") if part.strip()]
    if wanted and not any(_covers(each, kind) for each in wanted):
        raise Broken(f"{request.accept} was asked for, {given} came")
    return given


def _covers(wanted: str, kind: str) -> bool:
    return wanted in ("*/*", "*", kind) or (wanted.endswith("/*") and kind.startswith(wanted[:-1]))


@clause(
    "CT213",
    "a request that makes no sense is answered with a 4xx, and the next one well",
    "should",
    pages.INVOKE,
    "Catch what parsing the body raises and answer 400: 200 hides the mistake, 5xx counts as a broken model "
    "(Invocation5XXErrors, on which deployments are rolled back).",
)
def refuses_garbage(session: Session) -> str:
    server, request = _answering(session)
    answer = server.attempt(replace(request, body=GARBAGE))
    if not isinstance(answer, Answer) or not 400 <= answer.status < 500:
        raise Broken(f"garbage as {request.content_type} is answered {answer}")
    _still_well(server, request, "garbage")
    return f"garbage is answered {answer}"


@clause(
    "CT214",
    "an unknown Content-Type is answered with 415",
    "should",
    pages.FORMATS,
    "Look at the Content-Type before the body and answer 415 to those that are not read.",
)
def refuses_unknown_types(session: Session) -> str:
    server, request = _answering(session)
    answer = server.attempt(replace(request, content_type=_UNKNOWN))
    if not isinstance(answer, Answer) or not 400 <= answer.status < 500:
        raise Broken(f"{_UNKNOWN} is answered {answer}")
    return f"{_UNKNOWN} is answered {answer}"


@clause(
    "CT215",
    "headers that the container does not know are ignored",
    "must",
    pages.REQUESTS,
    "Ignore what you do not know: SageMaker may add headers.",
)
def ignores_headers(session: Session) -> str:
    server, request = _answering(session)
    try:
        answer = server.invoke(request, _EXTRA)
    except NoAnswer as error:
        raise Broken(str(error)) from None
    if answer.status != 200:
        raise Broken(f"with {', '.join(_EXTRA)} the same request is answered {answer}")
    return f"{len(_EXTRA)} more headers make no difference"


@clause(
    "CT216",
    f"a body of {LARGEST_BODY:,} bytes, InvokeEndpoint's largest, gets an answer",
    "must",
    pages.INVOKE,
    "Read the whole body before answering, and raise the server's own limit to 6 MiB.",
)
def takes_large_bodies(session: Session) -> str:
    server, request = _answering(session)
    # White space after the last record: still the same request in CSV, JSON and JSON Lines.
    large = request.body + b"\n" * (LARGEST_BODY - len(request.body))
    answer = server.attempt(replace(request, body=large))
    if not isinstance(answer, Answer) or answer.status >= 500 or answer.status == 413:
        raise Broken(f"{LARGEST_BODY:,} bytes are answered {answer}")
    _still_well(server, request, "a large body")
    return f"{LARGEST_BODY:,} bytes are answered {answer.status} in {answer.seconds:.2f} s"


@clause(
    "CT217",
    "concurrent requests are all answered, and /ping beside them",
    "must",
    pages.REQUESTS,
    "Use a server with threads or workers, and guard what the model shares.",
)
def answers_many_at_once(session: Session) -> str:
    server, request = _answering(session)

    def some(_: int) -> list[Answer | NoAnswer]:
        return [server.attempt(request) for _ in range(_EACH)]

    with ThreadPoolExecutor(_THREADS) as pool:
        asked = pool.map(some, range(_THREADS))
        try:
            ping = server.ping()
        except NoAnswer as error:
            raise Broken(f"beside {_THREADS} requests at once: {error}") from None
        got = [answer for answers in asked for answer in answers]
    bad = [answer for answer in got if not isinstance(answer, Answer) or answer.status != 200]
    if bad:
        raise Broken(f"{len(bad)} of {len(got)} requests, {_THREADS} at a time, were answered {bad[0]}")
    if ping.status != 200:
        raise Broken(f"beside {_THREADS} requests at once /ping was {ping}")
    return f"{len(got)} requests, {_THREADS} at a time, and a ping in {ping.seconds * 1000:.0f} ms"


@clause(
    "CT218",
    "a connection is kept for the next request",
    "should",
    pages.REQUESTS,
    "Speak HTTP/1.1 with a Content-Length (or chunks) and do not close the connection after an answer.",
)
def keeps_connections(session: Session) -> str:
    server, request = _answering(session)
    connection = server.connection()
    try:
        for number in (1, 2, 3):
            try:
                answer = connection.send("POST", "/invocations", request.body, headers_of(request))
            except NoAnswer as error:
                raise Broken(f"request {number} on one connection: {error}") from None
            if answer.headers.get("connection", "").lower() == "close":
                raise Broken(f"answer {number} says Connection: close")
    finally:
        connection.close()
    return "3 requests on one connection"
