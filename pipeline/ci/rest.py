"""GitHub's REST API over urllib: retries, rate limits, pages, downloads; every failure a sentence.

https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline import __version__
from pipeline.errors import TargetError

VERSION = "2022-11-28"
TIMEOUT_SECONDS = 30
ATTEMPTS = 4
# Longer than this nobody waits for a rate limit: the job would be paid for doing nothing.
LONGEST_WAIT_SECONDS = 90
PAGE = 100
MOST_PAGES = 20
LARGEST_DOWNLOAD = 60_000_000
# A GET is asked again after these; what writes is not, for it may have been done.
PASSING = frozenset({500, 502, 503, 504})
_NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')


@dataclass
class Rest:
    """One API with one token.

    Args:
        sleep: takes seconds; tests hand in their own.
    """

    base: str
    token: str = field(repr=False)
    sleep: Callable[[float], None] = time.sleep

    def get(self, path: str, **query: str | int) -> Any:
        """One document.

        Raises:
            TargetError: refused, not there, or no answer.
        """
        return self._json(self._call("GET", self._url(path, query))[0])

    def pages(self, path: str, key: str = "", **query: str | int) -> Iterator[Any]:
        """Every item of a list, page by page; `key` where the list lies in an object."""
        url: str | None = self._url(path, {"per_page": PAGE, **query})
        for _ in range(MOST_PAGES):
            if url is None:
                return
            body, headers = self._call("GET", url)
            document = self._json(body)
            yield from document.get(key, []) if key else document
            following = _NEXT.search(headers.get("link") or "")
            url = self._own(following[1]) if following else None

    def send(self, method: str, path: str, data: Mapping[str, Any]) -> Any:
        """POST or PATCH a document, and return the answer's. Not repeated if it may have been done."""
        return self._json(self._call(method, self._url(path, {}), json.dumps(data).encode())[0])

    def download(self, path: str) -> bytes:
        """What an address redirects to; the token does not go with it to another host."""
        return self._call("GET", self._url(path, {}), limit=LARGEST_DOWNLOAD)[0]

    def _url(self, path: str, query: Mapping[str, str | int]) -> str:
        tail = f"?{urllib.parse.urlencode(query)}" if query else ""
        return f"{self.base.rstrip('/')}/{path.lstrip('/')}{tail}"

    def _own(self, url: str) -> str:
        """A next page is at the same server, or this is not the server we asked."""
        ours, theirs = urllib.parse.urlsplit(self.base), urllib.parse.urlsplit(url)
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
            raise TargetError(f"the next page is at {theirs.netloc}", where=ours.netloc)
        return url

    def _call(
        self, method: str, url: str, body: bytes | None = None, limit: int = LARGEST_DOWNLOAD
    ) -> tuple[bytes, Mapping[str, str]]:
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            try:
                with self._open(method, url, body) as answer:
                    content = answer.read(limit + 1)
                    if len(content) > limit:
                        raise TargetError(f"the answer is larger than {limit} bytes", where=url)
                    return content, {key.lower(): value for key, value in answer.headers.items()}
            except urllib.error.HTTPError as error:
                wait = self._wait(error, method, attempt)
                if wait is None or last:
                    raise _refused(error, method, url) from error
            except (OSError, http.client.HTTPException) as error:
                unsent = isinstance(getattr(error, "reason", None), ConnectionRefusedError)
                if last or not (method == "GET" or unsent):
                    raise TargetError(
                        f"GitHub's API does not answer: {error}", where=f"{method} {url}"
                    ) from error
                wait = 2.0 ** (attempt - 1)
            self.sleep(wait)
        raise AssertionError("unreachable")

    def _open(self, method: str, url: str, body: bytes | None) -> Any:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token}",
            "User-Agent": f"gitops-ml-pipeline/{__version__}",
            "X-GitHub-Api-Version": VERSION,
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        handlers: list[Any] = [_Redirects]
        if _loopback(urllib.parse.urlsplit(url).hostname or ""):
            handlers.append(urllib.request.ProxyHandler({}))
        return urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_SECONDS)

    def _wait(self, error: urllib.error.HTTPError, method: str, attempt: int) -> float | None:
        """Seconds until it may be asked again; None if that would not help."""
        if error.code in (403, 429):
            after, left = error.headers.get("retry-after"), error.headers.get("x-ratelimit-remaining")
            if after and after.isdigit():
                seconds = float(after)
            elif left == "0":
                seconds = float(error.headers.get("x-ratelimit-reset") or 0) - time.time() + 1
            elif error.code == 429:
                seconds = 60.0
            else:
                return None
            return max(seconds, 1.0) if seconds <= LONGEST_WAIT_SECONDS else None
        if method == "GET" and error.code in PASSING:
            return 2.0 ** (attempt - 1)
        return None

    @staticmethod
    def _json(body: bytes) -> Any:
        try:
            return json.loads(body) if body else {}
        except ValueError as error:
            raise TargetError("GitHub's API answered something that is not JSON") from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to a storage host without the token: its address is signed, the token none of its business."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and _origin(req.full_url) != _origin(newurl):
            following.remove_header("Authorization")
        return following


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def _refused(error: urllib.error.HTTPError, method: str, url: str) -> TargetError:
    try:
        told = str(json.loads(error.read(10_000))["message"])
    except (ValueError, KeyError, TypeError, OSError):
        told = str(error.reason)
    where = f"{method} {urllib.parse.urlsplit(url).path}"
    hints = {
        401: "the token is missing, ended or another repository's",
        403: "give the job the right it needs under `permissions:`",
        404: "it does not exist, or the token may not see it: look at the job's `permissions:`",
        422: "GitHub does not accept the content of this request",
    }
    if error.headers.get("x-ratelimit-remaining") == "0" or error.code == 429:
        hint = "the rate limit of this token is used up; run the job again later"
    else:
        hint = hints.get(error.code, "run the job again; see https://www.githubstatus.com")
    return (
        NotThere(told, where=where, hint=hint)
        if error.code == 404
        else TargetError(f"GitHub refused ({error.code}): {told}", where=where, hint=hint)
    )


class NotThere(TargetError):
    """404: it does not exist, or the token may not know."""


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
