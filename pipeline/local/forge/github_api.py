"""GitHub's REST API for the workflows of this machine: on 127.0.0.1, over a folder, with GitHub's answers.

    store = Store(folder, "owner/name")
    with GitHubApi(store) as api:                       # api.url is GITHUB_API_URL
        token = store.token({"actions": "read", "pull_requests": "write"})   # GITHUB_TOKEN of one job

It answers what `pipeline ci` asks and what the local remote shows: pull requests, comments, issues, runs,
artifacts, statuses, checks. What it does not know is a 404, as all that one may not see is on GitHub. A token
has the rights its job's `permissions:` give and no others: a workflow that lacks one fails here as there.

https://docs.github.com/en/rest
"""

from __future__ import annotations

import json
import re
import urllib.parse
from http.server import BaseHTTPRequestHandler
from typing import Any

from pipeline.local.forge import github_routes
from pipeline.local.forge.github_routing import Refused, Rights, routes
from pipeline.local.forge.github_shapes import Shapes
from pipeline.local.forge.github_store import Store
from pipeline.local.loopback import Loopback

LONGEST_BODY = 65_536
LARGEST_REQUEST = 5_000_000


class GitHubApi(Loopback):
    """The server; `url` is what GITHUB_API_URL has to be.

    Args:
        server_url: what links to pages begin with (GITHUB_SERVER_URL).
        port: 0 takes a free one.
    """

    def __init__(self, store: Store, *, server_url: str = "https://github.com", port: int = 0) -> None:
        owner = self

        class Bound(Request):
            api = owner

        super().__init__(Bound, "github-api", port)
        self.store = store
        self.requests: list[tuple[str, str]] = []
        self.shapes = Shapes(store, self.url, server_url)


class Request(BaseHTTPRequestHandler):
    """One request: who asks, for what, with which rights."""

    api: GitHubApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: `api.requests` has them."""

    @property
    def store(self) -> Store:
        return self.api.store

    def _answer(self, method: str) -> None:
        address = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(address.query))
        self.api.requests.append((method, address.path))
        try:
            self.data = self._data()
            status, body, headers = self._route(method, address.path)
        except Refused as refused:
            status, body, headers = refused.status, refused.body, {}
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        kind = "application/zip" if isinstance(body, bytes) else "application/json; charset=utf-8"
        for key, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)

    def _data(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_REQUEST:
            self.close_connection = True
            raise Refused(413, "Payload too large")
        raw = self.rfile.read(length)
        try:
            data = json.loads(raw) if raw else {}
        except ValueError:
            raise Refused(400, "Problems parsing JSON") from None
        if not isinstance(data, dict):
            raise Refused(400, "Body should be a JSON object")
        return data

    def _route(self, method: str, path: str) -> tuple[int, Any, dict[str, str]]:
        signed = re.fullmatch(r"/_archives/([\w-]+)/(\d+)", path)
        if signed and method == "GET":
            return 200, self._archive(signed[1], int(signed[2])), {}
        holder = self._holder()
        prefix = f"/repos/{self.store.repository}".lower()
        inside = path[len(prefix) :] if path.lower().startswith(prefix) else None
        if inside is None or inside[:1] not in ("", "/"):
            raise Refused(404, "Not Found")
        for known, pattern, rights, handler in routes(github_routes):
            match = pattern.fullmatch(inside)
            if match and known == method:
                self._allow(holder, rights)
                self.found = match.groupdict()
                self.login = holder["login"]
                answer = handler(self)
                return answer if isinstance(answer, tuple) else (200, answer, {})
        raise Refused(404, "Not Found")

    def _holder(self) -> dict[str, Any]:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        if not token:
            raise (
                Refused(404, "Not Found")
                if self.command == "GET"
                else Refused(401, "Requires authentication")
            )
        holder = self.store.holder(token) if kind.lower() in ("bearer", "token") else None
        if holder is None:
            raise Refused(401, "Bad credentials")
        return holder

    @staticmethod
    def _allow(holder: dict[str, Any], rights: Rights) -> None:
        """Any one of `rights` is enough."""
        has = holder["rights"]
        if rights and not any(
            has.get(name) == "write" or (level == "read" and has.get(name) == "read")
            for name, level in rights
        ):
            raise Refused(403, "Resource not accessible by integration")

    def _archive(self, ticket: str, number: int) -> bytes:
        artifact = self.store.get("artifacts", number)
        content = self.store.archive(number)
        if artifact is None or content is None or artifact["digest"].removeprefix("sha256:")[:32] != ticket:
            raise Refused(404, "Not Found")
        return content

    def number(self, key: str = "number") -> int:
        return int(self.found[key])

    def page(self, items: list[Any], key: str = "") -> tuple[int, Any, dict[str, str]]:
        """A list's page with GitHub's Link header; `key` where it lies in an object with a count."""
        size = min(max(_int(self.query.get("per_page"), 30), 1), 100)
        page = max(_int(self.query.get("page"), 1), 1)
        shown = items[(page - 1) * size : page * size]
        headers = {}
        if page * size < len(items):
            query = urllib.parse.urlencode({**self.query, "page": page + 1})
            path = urllib.parse.urlsplit(self.path).path
            headers["Link"] = f'<{self.api.url}{path}?{query}>; rel="next"'
        return 200, {"total_count": len(items), key: shown} if key else shown, headers

    def text(self, key: str, resource: str, *, required: bool = True) -> str:
        value = self.data.get(key)
        if not isinstance(value, str) or (required and not value.strip()):
            code = "missing_field" if value is None else "invalid"
            raise Refused(422, "Validation Failed", [{"resource": resource, "field": key, "code": code}])
        if len(value) > LONGEST_BODY:
            told = f"Body is too long (maximum is {LONGEST_BODY} characters)"
            error = {"resource": resource, "code": "unprocessable", "field": "data", "message": told}
            raise Refused(422, "Validation Failed", [error])
        return value


def _int(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() else default
