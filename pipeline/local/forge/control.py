"""What the jobs of one run ask the forge for, over HTTP on 127.0.0.1: leave to run, and OIDC tokens."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from pipeline.local.forge import groups
from pipeline.local.forge.places import read
from pipeline.local.loopback import Loopback
from pipeline.local.oidc import endpoint as tokens
from pipeline.local.oidc.claims import Job
from pipeline.local.oidc.issuer import Key

Say = Callable[[str], None]
_PAUSE_SECONDS = 0.2
_LARGEST_BODY = 64 * 1024 * 1024


class Refused(Exception):
    """The job may not go on; the text says why."""


@dataclass
class Terms:
    """What holds for the jobs of one run.

    Args:
        run: its number.
        about: what its tokens say, but for the environment.
        may_have_tokens: jobs with `id-token: write`; none of a fork's.
        reviewed: environments whose jobs wait for a reviewer.
        all_wait: jobs whose group lets all wait (`queue: max`).
        approvals, groups: folders.
        cancelled: whether somebody has cancelled the run.
        waiting: told what a job waits for, and "" when it goes on.
    """

    run: int
    about: Job
    may_have_tokens: frozenset[str]
    reviewed: frozenset[str]
    all_wait: frozenset[str]
    approvals: Path
    groups: Path
    cancelled: Callable[[], bool]
    waiting: Callable[[str, str], None]


@dataclass
class _Taken:
    held: groups.Held
    variables: dict[str, str] = field(default_factory=dict)


class Control(Loopback):
    """The service of one run; a context manager."""

    def __init__(self, terms: Terms, key: Key) -> None:
        self.secret = secrets.token_urlsafe(32)
        self.summaries: list[tuple[str, str]] = []
        self._terms = terms
        self._grants = tokens.Grants(key)
        self._taken: dict[str, _Taken] = {}
        self._lock = threading.Lock()
        control = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = min(int(self.headers.get("Content-Length") or 0), _LARGEST_BODY)
                body = self.rfile.read(length)
                status, answer = control.answer(self.command, self.path, self.headers, body)
                with contextlib.suppress(ConnectionError):  # a step that was cancelled waits no more
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            do_GET = do_POST = _serve

            def log_message(self, *_: object) -> None:
                """Say nothing: the job's own log tells what it does."""

        super().__init__(Handler, "forge")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        with self._lock:
            for taken in self._taken.values():
                taken.held.release()

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, bytes]:
        """One request's status and answer."""
        path = urlsplit(target).path
        if path == tokens.PATH:
            status, said = self._grants.answer(method, target, headers.get("Authorization", ""))
            return status, json.dumps(said).encode()
        if headers.get("Authorization") != f"Bearer {self.secret}":
            return 401, b'{"message": "this is between the forge and its own steps"}'
        asked = json.loads(body)
        try:
            if path == "/take":
                return 200, json.dumps({"variables": self.take(asked)}).encode()
            self.give(asked)
        except Refused as refused:
            return 403, json.dumps({"message": str(refused)}).encode()
        return 200, b"{}"

    def take(self, asked: Mapping[str, str]) -> dict[str, str]:
        """Wait until the job may go on; the variables it gets.

        Raises:
            Refused: a reviewer said no, or the run was cancelled or superseded.
        """
        who = asked["name"]
        self._reviewed(who, asked["environment"])
        held = self._queued(who, asked)
        taken = _Taken(held)
        if asked["job"] in self._terms.may_have_tokens:
            about = Job(**{**self._terms.about.__dict__, "environment": asked["environment"]})
            url = f"{self.url}{tokens.PATH}?api-version=2.0"
            taken.variables = {
                tokens.URL_VARIABLE: url,
                tokens.TOKEN_VARIABLE: self._grants.grant(about),
            }
        with self._lock:
            self._taken[who] = taken
        return taken.variables

    def give(self, asked: Mapping[str, str]) -> None:
        """The job has ended: its tokens and its place in the group go back, its summary is kept."""
        who = asked["name"]
        if asked.get("summary"):
            self.summaries.append((who, asked["summary"]))
        with self._lock:
            taken = self._taken.pop(who, None)
        if taken is not None:
            if taken.variables:
                self._grants.revoke(taken.variables[tokens.TOKEN_VARIABLE])
            taken.held.release()

    def _reviewed(self, who: str, environment: str) -> None:
        if environment not in self._terms.reviewed:
            return
        decision = self._terms.approvals / f"{self._terms.run}-{environment}.json"
        told = False
        while (said := read(decision)) is None:
            if self._terms.cancelled():
                raise Refused("the run was cancelled while it waited for a reviewer")
            if not told:
                self._terms.waiting(who, f"approval of {environment}")
                told = True
            time.sleep(_PAUSE_SECONDS)
        if told:
            self._terms.waiting(who, "")
        if said["state"] != "approved":
            raise Refused(f"{said['by']} rejected the deployment to {environment}: {said['comment'] or '-'}")

    def _queued(self, who: str, asked: Mapping[str, str]) -> groups.Held:
        waited = []

        def waiting(why: str) -> None:
            waited.append(why)
            self._terms.waiting(who, why)

        try:
            held = groups.acquire(
                self._terms.groups,
                asked["group"],
                f"run {self._terms.run}, {who}",
                all_wait=asked["job"] in self._terms.all_wait,
                waiting=waiting,
                given_up=self._terms.cancelled,
            )
        except groups.Superseded as superseded:
            raise Refused(str(superseded)) from superseded
        if waited:
            self._terms.waiting(who, "")
        return held
