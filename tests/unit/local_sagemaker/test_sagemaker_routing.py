"""Traffic goes by weight, to healthy processes, and is shifted as the deployment says."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from pipeline.local.sagemaker import shifting
from pipeline.local.sagemaker.backend import Backend, NoAnswer, TooLarge
from pipeline.local.sagemaker.errors import NotSupported, ValidationException
from pipeline.local.sagemaker.routes import FleetRoute, Route, VariantRoute
from pipeline.local.sagemaker.store import Scope


def healthy(name: str) -> Backend:
    backend = Backend(name, 1)
    backend.healthy = True
    return backend


def test_any_hundred_requests_are_shared_exactly() -> None:
    variants = [
        VariantRoute("a", 3, [healthy("a")]),
        VariantRoute("b", 1, [healthy("b")]),
        VariantRoute("c", 0, []),
    ]
    route = Route([FleetRoute(variants)])
    picked = [getattr(route.pick(None), "name", None) for _ in range(400)]
    assert Counter(picked) == {"a": 300, "b": 100}
    assert all(Counter(picked[i : i + 100]) == {"a": 75, "b": 25} for i in range(0, 300, 50))
    assert route.pick("c") is variants[2] and route.pick("d") is None


def test_two_fleets_share_while_traffic_is_shifted() -> None:
    old = FleetRoute([VariantRoute("all", 1, [])], weight=0.9)
    new = FleetRoute([VariantRoute("all", 1, [])], weight=0.1)
    route = Route([old, new])
    chosen = Counter(route.pick(None) is new.variants[0] for _ in range(100))
    assert chosen == {False: 90, True: 10}


def test_the_least_busy_healthy_process_is_taken() -> None:
    first, second, sick = healthy("1"), healthy("2"), Backend("3", 1)
    variant = VariantRoute("v", 1, [first, second, sick])
    first.inflight = 2
    assert {variant.backend() for _ in range(5)} == {second}
    first.inflight = 0
    assert {variant.backend() for _ in range(4)} == {first, second}
    first.healthy = second.healthy = False
    assert variant.backend() is None


def _policy(**routing: object) -> dict[str, object]:
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}


def test_deployment_configurations_become_steps() -> None:
    assert shifting.plan(None, 1).shares == (1.0,)
    percent = {"Type": "CAPACITY_PERCENT", "Value": 30}
    linear = shifting.plan(_policy(Type="LINEAR", LinearStepSize=percent, WaitIntervalInSeconds=9), 4)
    assert linear.shares == pytest.approx((0.3, 0.6, 0.9, 1.0)) and linear.wait == 9
    one = {"Type": "INSTANCE_COUNT", "Value": 1}
    assert shifting.plan(_policy(Type="CANARY", CanarySize=one), 4).shares == (0.25, 1.0)
    even = {"Type": "CAPACITY_PERCENT", "Value": 50}
    assert shifting.plan(_policy(Type="LINEAR", LinearStepSize=even), 1).shares == (0.5, 1.0)
    with pytest.raises(ValidationException, match="at most 50%"):
        shifting.plan(_policy(Type="CANARY", CanarySize=one), 1)
    with pytest.raises(NotSupported, match="RollingUpdatePolicy"):
        shifting.plan({"RollingUpdatePolicy": {"WaitIntervalInSeconds": 1}}, 1)


def test_a_deployment_over_its_time_is_rolled_back() -> None:
    plan = shifting.Plan(shares=(0.1, 1.0), wait=60, bake=0, timeout=0, alarms=())
    with pytest.raises(shifting.RolledBack, match="MaximumExecutionTimeoutInSeconds"):
        list(shifting.steps(plan, Scope("1", "r"), threading.Event()))


class Peer:
    """A server that answers each connection's requests with the bytes given, then perhaps closes."""

    def __init__(self, *answers: bytes, close: bool = False) -> None:
        self.answers, self.close, self.connections = list(answers), close, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                for piece in self.answers.pop(0).split(b"|"):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.close:
                    break
            else:
                await reader.read()
        except asyncio.IncompleteReadError:
            pass
        writer.close()


def ask(peer: Peer, times: int = 1, seconds: float = 5) -> list[tuple[int, bytes]]:
    async def run() -> list[tuple[int, bytes]]:
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
        backend = Backend("i", server.sockets[0].getsockname()[1])
        found = []
        async with server:
            for _ in range(times):
                answer = await backend.request(
                    b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n", b"hi", seconds
                )
                found.append((answer.status, answer.body))
                await asyncio.sleep(0.02)
            # From Python 3.12 on the server waits for its connections to end.
            for connection in backend._idle:
                connection.close()
        return found

    return asyncio.run(run())


FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_one_connection_serves_many_requests() -> None:
    peer = Peer(FINE, FINE, FINE)
    assert ask(peer, 3) == [(200, b"ok")] * 3
    assert peer.connections == 1


def test_a_connection_closed_while_idle_is_no_failure() -> None:
    peer = Peer(FINE, FINE, close=True)
    assert ask(peer, 2) == [(200, b"ok")] * 2
    assert peer.connections == 2


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab|c\r\n2;x=y\r\nde\r\n0|\r\n\r\n",
            b"abcde",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-|Length: 3\r\n\r\nab|c", b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil| the end", b"until the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_every_form_of_a_body(wire: bytes, body: bytes) -> None:
    assert ask(Peer(wire, close=True))[0][1] == body


def test_silence_nonsense_and_excess() -> None:
    with pytest.raises(NoAnswer):
        ask(Peer(b"", close=True))
    with pytest.raises(NoAnswer):
        ask(Peer(b"nonsense\r\n\r\n"))
    with pytest.raises(NoAnswer):
        ask(Peer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", close=True))
    with pytest.raises(TooLarge):
        ask(Peer(b"HTTP/1.1 200 OK\r\nContent-Length: 7000000\r\n\r\n"))
    with pytest.raises(TimeoutError):
        ask(Peer(b"HTTP/1.1 200 OK\r\n"), seconds=0.05)

    async def nobody() -> None:
        await Backend("i", 1).request(b"", b"", 1)

    with pytest.raises(NoAnswer) as caught:
        asyncio.run(nobody())
    assert caught.value.unsent
