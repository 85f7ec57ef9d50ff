"""HTTP as clients really speak it: pipelines, chunks, slow ones, rude ones, many at a time."""

from __future__ import annotations

import socket
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.serving.conftest import Server, Start, answers, post, read_all

# `s<seconds>` sleeps, `b<bytes>` answers so many, anything else comes back.
ECHO = textwrap.dedent("""
    import threading, time
    calls = []

    def model_fn(model_dir):
        return None

    def transform_fn(model, body, content_type, accept):
        calls.append(1)
        assert len(calls) == 1, "two calls at a time"
        try:
            if body[:1] == "s":
                time.sleep(float(body[1:]))
            if body[:1] == "b":
                return "x" * int(body[1:])
            return "echo " + body, "text/plain"
        finally:
            calls.pop()
""")
QUICK = {"SERVING_HEAD_SECONDS": "0.5", "SERVING_BODY_SECONDS": "1", "SERVING_IDLE_SECONDS": "1.5"}


@pytest.fixture(scope="module")
def echo(start_module: Start) -> Server:
    return start_module(ECHO).ready()


@pytest.fixture(scope="module")
def strict(start_module: Start) -> Server:
    return start_module(ECHO, MAX_REQUEST_BYTES="1000", **QUICK).ready()


def exchange(server: Server, *parts: bytes, pause: float = 0.0) -> list[tuple[int, bytes]]:
    """Send the parts, end the sending, read to the end."""
    with server.connect() as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        connection.shutdown(socket.SHUT_WR)
        return answers(read_all(connection))


def test_a_pipeline_is_answered_in_order(echo: Server) -> None:
    bodies = [b"s0.05" if at % 10 == 3 else b"%d" % at for at in range(60)]
    found = exchange(echo, b"".join(map(post, bodies)))
    assert found == [(200, b"echo " + body) for body in bodies]


def test_a_request_in_single_bytes(echo: Server) -> None:
    whole = post(b"slow".replace(b"s", b"t"))
    with echo.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(whole)):
            connection.sendall(whole[at : at + 1])
        connection.shutdown(socket.SHUT_WR)
        assert answers(read_all(connection)) == [(200, b"echo tlow")]


def test_a_connection_is_kept_and_closed_as_asked(echo: Server) -> None:
    assert len(exchange(echo, *[post(b"a")] * 5, pause=0.01)) == 5
    assert exchange(echo, post(b"a", "Connection: close") + post(b"b")) == [(200, b"echo a")]
    old = post(b"a").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert exchange(echo, old + post(b"b")) == [(200, b"echo a")]
    kept = post(b"a", "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert len(exchange(echo, kept + post(b"b"))) == 2


def test_chunks_trailers_and_expectations(echo: Server) -> None:
    head = (
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n"
    )
    chunks = b"3\r\nabc\r\n2;name=value\r\nde\r\n0\r\nContent-Type: application/json\r\n\r\n"
    assert exchange(echo, head + b"\r\n" + chunks) == [(200, b"echo abcde")]
    with echo.connect() as connection:
        connection.sendall(post(b"late", "Expect: 100-continue")[:-4])
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"late")
        connection.shutdown(socket.SHUT_WR)
        assert answers(read_all(connection)) == [(200, b"echo late")]


def test_an_upgrade_is_not_followed(echo: Server) -> None:
    upgrade = "Connection: Upgrade", "Upgrade: h2c"
    assert [status for status, _ in exchange(echo, post(b"a", *upgrade))] == [400]
    plain = post(b"", *upgrade, path="/ping").replace(b"POST", b"GET").replace(b"Content-Length: 0\r\n", b"")
    assert [status for status, _ in exchange(echo, plain)] == [200]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\n\r\n", 400),
        (b"GET /ping HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        # The classic of request smuggling: two lengths of two kinds.
        (post(b"a", "Transfer-Encoding: chunked"), 400),
        (post(b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"") + b"zz\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70_000, 431),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 12_000 + b"\r\n", 431),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (post(b"a" * 1001), 413),
        (b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999\r\n\r\n", 413),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(
    strict: Server, request_bytes: bytes, status: int
) -> None:
    with strict.connect() as connection:
        connection.sendall(request_bytes)
        assert [found for found, _ in answers(read_all(connection))] == [status]
    assert strict.ping() == 200


@pytest.mark.parametrize(
    ("begun", "status"),
    [
        (b"GET /ping HTTP/1.1\r\nHo", [408]),
        (b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", [408]),
        (b"", []),
        (post(b"a"), [200]),
    ],
)
def test_a_slow_client_is_given_up(strict: Server, begun: bytes, status: list[int]) -> None:
    started = time.monotonic()
    with strict.connect() as connection:
        connection.sendall(begun)
        assert [found for found, _ in answers(read_all(connection))] == status
    assert 0.4 < time.monotonic() - started < 5


def test_a_drip_of_headers_does_not_prolong_the_time(strict: Server) -> None:
    started = time.monotonic()
    with strict.connect() as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n")
        try:
            while time.monotonic() - started < 8:
                connection.sendall(b"A: b\r\n")
                time.sleep(0.1)
        except OSError:
            pass
    assert time.monotonic() - started < 6


def test_who_takes_no_answer_is_cut_off_and_nobody_waits_for_it(start: Start) -> None:
    server = start(ECHO, **QUICK).ready()
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(post(b"b40000000") * 3)
        assert server.invoke(b"other")[2] == b"echo other"
        server.wait(
            lambda: b"serving_connections 1\n" in server.request("GET", "/metrics")[2], "the cut", seconds=10
        )


def test_many_at_a_time_each_get_their_own(echo: Server) -> None:
    def ask(at: int) -> bool:
        return echo.invoke(b"row %d" % at)[2] == b"echo row %d" % at

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(ask, range(320)))


def test_ping_is_quick_while_the_model_works(echo: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        for _ in range(20):
            echo.invoke(b"quick until now")
        slow = pool.submit(echo.invoke, b"s1")
        time.sleep(0.2)
        started = time.monotonic()
        assert echo.ping() == 200
        assert time.monotonic() - started < 0.5
        assert slow.result()[0] == 200


def test_too_many_connections_and_too_many_waiting_are_told(start: Start) -> None:
    server = start(ECHO, SERVING_MAX_CONNECTIONS="20", SERVING_MAX_QUEUE="3").ready()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: server.invoke(b"s0.3"), range(8)))
    assert sorted({status for status, _, _ in found}) == [200, 503]
    assert all(headers["retry-after"] == "1" for status, headers, _ in found if status == 503)
    idle = [server.connect() for _ in range(20)]
    time.sleep(0.2)
    with server.connect() as one_more:
        assert [status for status, _ in answers(read_all(one_more))] == [503]
    for connection in idle:
        connection.close()
    server.wait(lambda: server.ping() == 200, "room again")


def test_requests_that_wait_are_predicted_together_when_asked_for(start: Start) -> None:
    script = textwrap.dedent("""
        import numpy as np

        def model_fn(model_dir):
            return None

        def predict_fn(data, model):
            data = np.atleast_2d(data)
            if (data < 0).any():
                raise ValueError("negative")
            return np.column_stack([data[:, 0], np.full(len(data), len(data))])
    """)
    server = start(script, SERVING_BATCH_REQUESTS="16", SERVING_BATCH_MS="100").ready()
    gate = threading.Barrier(16)

    def ask(at: int) -> tuple[int, bytes]:
        gate.wait()
        body = b"-1,1" if at == 5 else b"%d,1,1" % at if at == 6 else b"%d,1" % at
        status, _, answer = server.invoke(body, accept="text/csv")
        return status, answer

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(16)))
        assert [status for status, _ in found] == [200] * 5 + [500] + [200] * 10
        good = list(pool.map(lambda at: ask(at + 7), range(16)))
    rows = [answer.split(b",") for _, answer in good]
    assert [float(row[0]) for row in rows] == [float(at + 7) for at in range(16)]
    assert max(float(row[1]) for row in rows) > 1, "none were predicted together"
