"""Requests broken in every way a seed makes: always a valid answer or a close, never a crash or a hang."""

from __future__ import annotations

import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.serving.conftest import Server, Start, answers, post, read_all
from tests.e2e.serving.test_serving_connections import ECHO

SEED, THREADS, SECONDS = 20260101, 8, 8.0
PIECES = [
    b"POST /invocations HTTP/1.1\r\n",
    b"GET /ping HTTP/1.1\r\n",
    b"GET /metrics HTTP/1.0\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n",
    b"GET http://h/ping HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"Host: x\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: 0x5\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"transfer-encoding:\tchunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Expect: 200-ok\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive, Upgrade\r\n",
    b"Upgrade: websocket\r\n",
    b"Content-Type: text/csv\r\n",
    b"Content-Type: application/json\r\n",
    b"Accept: \xff\xfe\r\n",
    b" folded: line\r\n",
    b"NoColon\r\n",
    b": empty\r\n",
    b"A: " + b"a" * 5000 + b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"hello",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"fffffffff\r\n",
    b"-1\r\n",
    b'1;ext="\r\n',
    b'X-Amzn-SageMaker-Inference-Id: "\\\r\n',
    b"b70000",
]


def composed(random_: random.Random) -> bytes:
    return b"".join(random_.choices(PIECES, k=random_.randint(1, 14)))


def mutated(random_: random.Random) -> bytes:
    data = bytearray(post(b"row", "Accept: text/csv") * random_.randint(1, 4))
    for _ in range(random_.randint(1, 6)):
        at = random_.randrange(len(data))
        match random_.randrange(5):
            case 0:
                data[at] ^= 1 << random_.randrange(8)
            case 1:
                del data[at : at + random_.randint(1, 20)]
            case 2:
                data[at:at] = random_.randbytes(random_.randint(1, 20))
            case 3:
                data[at:at] = random_.choice(PIECES)
            case 4:
                data[at:] = data[at : at + 1] * random_.choice((1, 100, 70_000))
        data = data or bytearray(b"x")
    return bytes(data)


def chunked(random_: random.Random) -> tuple[bytes, bytes]:
    """A right request in chunks, and the answer it must get."""
    body = bytes(random_.choices(b"acdefghi", k=random_.randint(0, 300)))
    data, rest = (
        post(b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b""),
        body,
    )
    while rest:
        size = random_.randint(1, len(rest))
        data += f"{size:x}".encode() + random_.choice((b"", b";a=b")) + b"\r\n" + rest[:size] + b"\r\n"
        rest = rest[size:]
    return data + b"0\r\n\r\n", b"echo " + body


def speak(server: Server, data: bytes, random_: random.Random) -> list[tuple[int, bytes]]:
    """Send in random pieces, sometimes go away in the middle; the answers until the server closes."""
    with server.connect() as connection:
        connection.settimeout(8)
        sent = 0
        try:
            while sent < len(data):
                size = random_.choice((1, 7, 100, 100_000))
                connection.sendall(data[sent : sent + size])
                sent += size
                if size == 1:
                    time.sleep(0.0002)
                if random_.random() < 0.01:
                    return []
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was refused and closed before all was sent
        return answers(read_all(connection))


def test_nothing_breaks_the_server(start: Start) -> None:
    limits = {"SERVING_HEAD_SECONDS": "2", "SERVING_BODY_SECONDS": "2", "MAX_REQUEST_BYTES": "50000"}
    server = start(ECHO.replace("float(body[1:])", "0"), **limits).ready()
    workers = {worker.pid for worker in server.workers()}
    deadline = time.monotonic() + SECONDS

    def attack(number: int) -> int:
        random_ = random.Random(f"{SEED}-{number}")
        count = 0
        while time.monotonic() < deadline:
            count += 1
            kind = random_.randrange(3)
            if kind == 0:
                request, expected = chunked(random_)
                found = speak(server, request, random_)
                assert found in ([(200, expected)], []), (number, count, request)
                continue
            for status, body in speak(server, (composed, mutated)[kind - 1](random_), random_):
                # 500: the script was given what it does not take, such as bytes; see the log below.
                assert 200 <= status <= 505, (number, count, status, body)
        return count

    with ThreadPoolExecutor(THREADS) as pool:
        tries = sum(pool.map(attack, range(THREADS)))
    assert tries > 100
    assert server.ping() == 200
    assert {worker.pid for worker in server.workers()} == workers, "a worker died"
    inner = [event for event in server.events("error") if "inference.py" not in str(event.get("traceback"))]
    assert not inner, inner[:2]
    # Every line of the log is JSON, whatever was asked for.
    assert all(line.startswith("{") for line in server.log.splitlines())
    metrics = server.request("GET", "/metrics")[2].decode()
    assert "serving_queue 0\n" in metrics
    server.wait(
        lambda: b"serving_connections 1\n" in server.request("GET", "/metrics")[2], "all connections' end"
    )
