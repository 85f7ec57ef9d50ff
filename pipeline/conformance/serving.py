"""A running `serve`: started, its port found, asked until it is healthy, ended."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.conformance.client import Answer, Connection, NoAnswer, ask
from pipeline.conformance.launching import Launch, Launcher, Process
from pipeline.conformance.subject import Request, Subject, Waits

SERVE = ("serve",)
DEFAULT_PORT = 8080
_POLL_SECONDS = 0.02
# How long a server gets to open the right port once another one of its ports answers.
_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class How:
    """In which circumstances `serve` runs; `launching.Launch` says what each means.

    `told_port` false: SAGEMAKER_BIND_TO_PORT is not set, as on a container's usual endpoint.
    """

    network: bool = False
    told_port: bool = True
    read_only_model: bool = False
    first: bool = True
    user: int | None = None


class Server:
    """One `serve`, from its start to its end.

    Attributes:
        port: where it answers; None as long as nothing does.
        wanted: where it should.
        healthy_after: seconds until the first 200 of /ping; None when none came.
        first_answer: what it said to a request sent right after that; None without a request to send.
        trouble: why it did not become healthy; empty when it did, or was not waited for.
        lines: what it printed.
    """

    def __init__(
        self, launcher: Launcher, subject: Subject, waits: Waits, model: Path, base: Path, how: How
    ) -> None:
        self.how = how
        self.waits = waits
        self.request = subject.request
        self.wanted = launcher.port(network=how.network) if how.told_port else DEFAULT_PORT
        self.trouble = ""
        self.port: int | None = None
        self.healthy_after: float | None = None
        self.first_answer: Answer | NoAnswer | None = None
        self.lines: list[str] = []
        self.model = base / "model"
        base.mkdir(parents=True)
        shutil.copytree(model, self.model, symlinks=True)
        if how.user is not None:
            # What it may do with the model is another clause's question.
            self.model.chmod(0o777)
        variables = dict(subject.environment)
        if how.told_port:
            variables["SAGEMAKER_BIND_TO_PORT"] = str(self.wanted)
        self._started = time.monotonic()
        self.process: Process = launcher.start(
            Launch(
                SERVE,
                base,
                variables,
                read_only_model=how.read_only_model,
                network=how.network,
                first=how.first,
                user=how.user,
                port=self.wanted,
            ),
            self.lines.append,
        )

    @property
    def healthy(self) -> bool:
        """Whether /ping was 200 once."""
        return self.healthy_after is not None

    def wait_until_healthy(self, limit: float | None = None) -> bool:
        """Ask /ping until it is 200, the program ends or the time is over; then send the first request."""
        limit = self.waits.start if limit is None else limit
        if not self._becomes_healthy(limit):
            self.trouble = self._why_not(limit)
            return False
        self.healthy_after = time.monotonic() - self._started
        if self.request is not None:
            self.first_answer = self.attempt(self.request)
        return True

    def _becomes_healthy(self, limit: float) -> bool:
        deadline = self._started + limit
        while time.monotonic() < deadline:
            alive = self.process.alive()
            if self._look_for_health():
                return True
            if not alive:
                return False
            time.sleep(_POLL_SECONDS)
        return False

    def answers(self) -> bool:
        """Whether it answers the good request with 200, now or in a while: it may still be loading."""
        if self.request is None:
            return False
        deadline = time.monotonic() + self.waits.settle
        while True:
            answer = self.attempt(self.request)
            if isinstance(answer, Answer) and answer.status == 200:
                return True
            if time.monotonic() > deadline or not self.process.alive():
                return False
            time.sleep(0.1)

    def _look_for_health(self) -> bool:
        if self._ping_is_200(self.wanted):
            self.port = self.wanted
            return True
        if self.port != self.wanted:
            for port in [self.port] if self.port else self._others():
                if self._ping_is_200(port):
                    # It may be another server of the image, opened before the one that is asked for.
                    if self.port is None:
                        self.port, self._found = port, time.monotonic()
                    return time.monotonic() - self._found > _GRACE_SECONDS
        return False

    def _others(self) -> list[int]:
        return [port for port in self.process.ports() if port != self.wanted]

    def _ping_is_200(self, port: int) -> bool:
        try:
            return ask(self.process, port, "GET", "/ping", timeout=self.waits.ping).status == 200
        except NoAnswer:
            return False

    def attempt(self, request: Request) -> Answer | NoAnswer:
        """`invoke`, whose failure is an answer, too."""
        try:
            return self.invoke(request)
        except NoAnswer as error:
            return error

    def ping(self) -> Answer:
        """One GET /ping, given as long as SageMaker gives it. Raises NoAnswer."""
        assert self.port is not None
        return ask(self.process, self.port, "GET", "/ping", timeout=self.waits.ping)

    def invoke(self, request: Request, headers: Mapping[str, str] | None = None) -> Answer:
        """One POST /invocations. Raises NoAnswer."""
        assert self.port is not None
        return ask(
            self.process,
            self.port,
            "POST",
            "/invocations",
            timeout=self.waits.invoke,
            body=request.body,
            headers={**headers_of(request), **(headers or {})},
        )

    def connection(self) -> Connection:
        """A connection to keep. Raises NoAnswer."""
        assert self.port is not None
        return Connection(self.process, self.port, self.waits.invoke)

    def stop(self) -> tuple[int | None, float]:
        """SIGTERM; its exit code, None when it did not end in time, and how many seconds that took."""
        started = time.monotonic()
        self.process.terminate()
        code = self.process.wait(self.waits.stop)
        return code, time.monotonic() - started

    def _why_not(self, limit: float) -> str:
        said = self.last_words()
        if self.process.refused:
            return self.process.refused
        code = self.process.wait(0)
        if code is not None:
            return f"`serve` exited {code}" + said
        ports = self.process.ports()
        where = f"it listens on {', '.join(map(str, ports))}" if ports else "it listens on no port"
        return f"no 200 from /ping in {limit:g} s; {where}" + said

    def last_words(self) -> str:
        """The last line it printed, as the end of a sentence."""
        last = next((line.strip() for line in reversed(self.lines) if line.strip()), "")
        return f", last saying: {last[:200]}" if last else " without a word"

    def close(self) -> None:
        """Kill what is left of it."""
        self.process.close()


def headers_of(request: Request) -> dict[str, str]:
    """The headers of a request that the client chose."""
    return {"Content-Type": request.content_type, **({"Accept": request.accept} if request.accept else {})}
