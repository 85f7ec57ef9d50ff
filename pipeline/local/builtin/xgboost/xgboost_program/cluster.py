"""The hosts of one training: they meet by resourceconfig.json's names and go on as one, by XGBoost's means.

The first host runs XGBoost's tracker at a free port, and tells the others where: they ask it under its name.
"""

from __future__ import annotations

import json
import os
import socket
import time
import zlib
from typing import Any

from .contract import StopFlag, Stopped, UserError, config

# Where the first host is asked: below the ports that the kernel hands out by itself, another for each job.
_PORTS = range(20_000, 30_000)
# Hosts begin when their data is there, which is not at the same moment.
_PATIENCE_SECONDS = 900


class Cluster:
    """This host and the others. A host that is alone asks nobody."""

    def __init__(self, hosts: list[str], index: int) -> None:
        self.hosts = hosts
        self.index = index
        self.tracker: Any = None

    @property
    def is_master(self) -> bool:
        return self.index == 0

    @property
    def is_many(self) -> bool:
        return len(self.hosts) > 1

    def join(self, stop: StopFlag) -> None:
        """Come together with the others. Raises UserError when they do not come, Stopped after SIGTERM."""
        if not self.is_many:
            return
        from xgboost import collective

        given = self._invite(stop) if self.is_master else self._ask(stop)
        # The number makes the first host the tracker's first, too: its order is that of the texts.
        collective.init(dmlc_task_id=f"{self.index:03d}", dmlc_timeout=_PATIENCE_SECONDS, **given)
        print(f"{self.hosts[self.index]} is host {self.index + 1} of {len(self.hosts)}", flush=True)

    def leave(self) -> None:
        """Part when all is done. A program that fails ends without: that is how the others hear of it."""
        if not self.is_many:
            return
        from xgboost import collective

        collective.finalize()
        if self.tracker is not None:
            self.tracker.wait_for(timeout=_PATIENCE_SECONDS)

    def gathered(self, value: Any) -> list[Any]:
        """What each host gave, in the order of the hosts."""
        if not self.is_many:
            return [value]
        from xgboost import collective

        # In a tuple, since a None cannot be sent.
        return [collective.broadcast((value,), root)[0] for root in range(len(self.hosts))]

    def of_master(self, value: Any) -> Any:
        """What the first host gave."""
        if not self.is_many:
            return value
        from xgboost import collective

        return collective.broadcast((value,), 0)[0]

    def agree(self, problem: str | None) -> None:
        """Raise UserError on every host with what is wrong on any: all end with the same reason."""
        found = self.gathered(problem)
        wrong = [f"{host}: {each}" for host, each in zip(self.hosts, found, strict=True) if each]
        if not wrong:
            return
        # What is wrong with what all were given is told once.
        same = len(set(found)) == 1
        raise UserError(str(found[0]) if same else "\n".join(wrong))

    def _invite(self, stop: StopFlag) -> dict[str, Any]:
        from xgboost.tracker import RabitTracker

        address = _address(self.hosts[0], stop)
        self.tracker = RabitTracker(host_ip=address, n_workers=len(self.hosts), sortby="task")
        self.tracker.start()
        given: dict[str, Any] = self.tracker.worker_args()
        answer = json.dumps(given).encode()
        waiting = {_greeting(host) for host in self.hosts[1:]}
        until = time.monotonic() + _PATIENCE_SECONDS
        with socket.create_server((address, _port())) as server:
            server.settimeout(0.5)
            while waiting:
                _go_on(stop, until, f"{len(waiting)} of {len(self.hosts)} hosts did not come")
                try:
                    with server.accept()[0] as asked:
                        asked.settimeout(5)
                        said = asked.recv(1024)
                        if said in waiting:
                            asked.sendall(answer)
                            waiting.remove(said)
                except OSError:
                    continue
        return given

    def _ask(self, stop: StopFlag) -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            _go_on(stop, until, f"{self.hosts[0]} did not answer")
            try:
                with socket.create_connection((self.hosts[0], _port()), timeout=5) as asked:
                    asked.sendall(_greeting(self.hosts[self.index]))
                    answer = asked.recv(1024)
                if answer:
                    return dict(json.loads(answer))
            except OSError:
                pass
            time.sleep(0.05)


def of_job() -> Cluster:
    """The hosts as resourceconfig.json names them. Raises UserError if this is none of them."""
    resources = config("resourceconfig.json")
    hosts = sorted(resources.get("hosts") or ["algo-1"], key=_number)
    current = resources.get("current_host") or hosts[0]
    if current not in hosts:
        raise UserError(f"resourceconfig.json: current_host {current} is none of {', '.join(hosts)}")
    return Cluster(hosts, hosts.index(current))


def _number(host: str) -> tuple[int, str]:
    """algo-2 before algo-10."""
    digits = host.rpartition("-")[2]
    return (int(digits) if digits.isdigit() else 0, host)


def _job() -> str:
    return os.environ.get("TRAINING_JOB_NAME", "")


def _port() -> int:
    return _PORTS[zlib.crc32(_job().encode()) % len(_PORTS)]


def _greeting(host: str) -> bytes:
    """Of one host of one job: a stranger that finds the port is not answered."""
    return f"{_job()} {host}".encode()


def _address(host: str, stop: StopFlag) -> str:
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        _go_on(stop, until, f"the name {host} has no address")
        try:
            return socket.gethostbyname(host)
        except OSError:
            time.sleep(0.5)


def _go_on(stop: StopFlag, until: float, what: str) -> None:
    if stop.is_set:
        raise Stopped("before the hosts had met")
    if time.monotonic() > until:
        raise UserError(f"{what} within {_PATIENCE_SECONDS} s")
