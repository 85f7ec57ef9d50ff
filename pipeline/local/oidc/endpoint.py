"""Where a job gets its tokens: GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=..., with the job's own bearer.

The shape is that of actions/toolkit's `getIDToken` (packages/core/src/oidc-utils.ts): the URL has a query
already, the answer is `{"value": "<token>"}`.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from pipeline.local.loopback import Loopback
from pipeline.local.oidc.claims import Job, claims
from pipeline.local.oidc.issuer import Key, sign

PATH = "/_apis/id-token"
URL_VARIABLE, TOKEN_VARIABLE = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"


class Grants:
    """Which bearer belongs to which job. Thread-safe; a job without a grant gets no token."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def grant(self, job: Job) -> str:
        """A bearer with which the job, and nobody else, gets tokens about itself."""
        bearer = secrets.token_urlsafe(32)
        with self._lock:
            self._jobs[bearer] = job
        return bearer

    def revoke(self, bearer: str) -> None:
        """The job has ended."""
        with self._lock:
            self._jobs.pop(bearer, None)

    def answer(self, method: str, target: str, authorization: str) -> tuple[int, dict[str, str]]:
        """Status and body for a request to PATH; `target` is path and query as sent."""
        if method != "GET" or urlsplit(target).path != PATH:
            return 404, {"message": "Not Found"}
        scheme, _, given = authorization.partition(" ")
        job = self._job(given.strip()) if scheme.lower() == "bearer" else None
        if job is None:
            return 401, {"message": "Unauthorized"}
        audience = parse_qs(urlsplit(target).query).get("audience", [job.default_audience])[0]
        return 200, {"value": sign(self._key, claims(job, audience, time.time()))}

    def _job(self, bearer: str) -> Job | None:
        with self._lock:
            found = [job for known, job in self._jobs.items() if hmac.compare_digest(known, bearer)]
        return found[0] if found else None


class Endpoint(Loopback):
    """The token endpoint as a server on 127.0.0.1; a context manager."""

    def __init__(self, key: Key, port: int = 0) -> None:
        self.grants = grants = Grants(key)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content = grants.answer("GET", self.path, self.headers.get("Authorization", ""))
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing: a request's line holds no news."""

        super().__init__(Handler, "id-tokens", port)
        self.url += f"{PATH}?api-version=2.0"

    def grant(self, job: Job) -> dict[str, str]:
        """The two variables that GitHub gives a job with `id-token: write`."""
        return {URL_VARIABLE: self.url, TOKEN_VARIABLE: self.grants.grant(job)}

    def revoke(self, variables: dict[str, str]) -> None:
        """Take back what `grant` gave."""
        self.grants.revoke(variables[TOKEN_VARIABLE])
