"""The REST client: when it asks again, how long it waits, and what it says when it gives up."""

from __future__ import annotations

import email.message
import io
import json
import time
import urllib.error
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.ci import rest
from pipeline.ci.rest import Rest
from pipeline.errors import TargetError


class Answer(io.BytesIO):
    def __init__(self, body: object, headers: dict[str, str] | None = None) -> None:
        super().__init__(json.dumps(body).encode())
        self.headers = headers or {}


def refusal(code: int, headers: dict[str, str] | None = None, message: str = "no") -> urllib.error.HTTPError:
    told = email.message.Message()
    for key, value in (headers or {}).items():
        told[key] = value
    return urllib.error.HTTPError(
        "u", code, "reason", told, io.BytesIO(json.dumps({"message": message}).encode())
    )


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Rest, list[float], list[tuple[str, str]]]]:
    def make(*answers: Any) -> tuple[Rest, list[float], list[tuple[str, str]]]:
        waits: list[float] = []
        asked: list[tuple[str, str]] = []
        left = list(answers)

        def opened(_: Rest, method: str, url: str, __: bytes | None) -> Any:
            asked.append((method, url))
            answer = left.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(Rest, "_open", opened)
        return Rest("https://api.example", "t", sleep=waits.append), waits, asked

    return make


def test_a_passing_fault_is_asked_again(client: Any) -> None:
    ours, waits, asked = client(refusal(502), refusal(503), Answer({"a": 1}))
    assert ours.get("x", q="1") == {"a": 1}
    assert waits == [1.0, 2.0]
    assert asked == [("GET", "https://api.example/x?q=1")] * 3


def test_it_gives_up_after_four_times(client: Any) -> None:
    ours, waits, _ = client(*[refusal(500)] * 4)
    with pytest.raises(TargetError, match="500"):
        ours.get("x")
    assert waits == [1.0, 2.0, 4.0]


def test_what_writes_is_not_repeated_after_it_may_have_been_done(client: Any) -> None:
    ours, waits, asked = client(refusal(502))
    with pytest.raises(TargetError):
        ours.send("POST", "x", {})
    assert (len(asked), waits) == (1, [])
    ours, _, asked = client(TimeoutError("timed out"))
    with pytest.raises(TargetError, match="does not answer"):
        ours.send("POST", "x", {})
    assert len(asked) == 1


def test_what_was_never_sent_is_repeated(client: Any) -> None:
    refused = urllib.error.URLError(ConnectionRefusedError())
    ours, _, asked = client(refused, Answer({"done": True}))
    assert ours.send("POST", "x", {}) == {"done": True}
    assert len(asked) == 2


def test_rate_limits_are_waited_for(client: Any) -> None:
    ours, waits, _ = client(refusal(429, {"retry-after": "7"}), Answer({}))
    ours.get("x")
    assert waits == [7.0]
    reset = str(int(time.time()) + 30)
    ours, waits, _ = client(
        refusal(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}), Answer({})
    )
    ours.send("POST", "x", {})  # refused before it was done
    assert 28 <= waits[0] <= 32
    # A secondary limit without a header: at least a minute.
    ours, waits, _ = client(refusal(429), Answer({}))
    ours.get("x")
    assert waits == [60.0]


def test_a_limit_that_ends_in_an_hour_is_not_waited_for(client: Any) -> None:
    reset = str(int(time.time()) + 3600)
    ours, waits, _ = client(refusal(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}))
    with pytest.raises(TargetError) as caught:
        ours.get("x")
    assert "rate limit" in caught.value.hint
    assert waits == []


def test_a_missing_right_names_permissions(client: Any) -> None:
    ours, waits, _ = client(refusal(403, message="Resource not accessible by integration"))
    with pytest.raises(TargetError, match="not accessible") as caught:
        ours.get("repos/o/r/issues")
    assert "permissions" in caught.value.hint
    assert waits == []


def test_pages_follow_the_link_at_the_same_server_only(client: Any) -> None:
    second = {
        "link": '<https://api.example/x?page=2>; rel="next", <https://api.example/x?page=9>; rel="last"'
    }
    ours, _, asked = client(Answer([1], second), Answer([2]))
    assert list(ours.pages("x")) == [1, 2]
    assert asked[1] == ("GET", "https://api.example/x?page=2")
    ours, _, _ = client(Answer([1], {"link": '<https://evil.example/x>; rel="next"'}), Answer([2]))
    with pytest.raises(TargetError, match=r"evil\.example"):
        list(ours.pages("x"))


def test_pages_end(client: Any) -> None:
    again = {"link": '<https://api.example/x>; rel="next"'}
    ours, _, asked = client(*[Answer({"runs": [1]}, again) for _ in range(rest.MOST_PAGES + 5)])
    assert len(list(ours.pages("x", key="runs"))) == rest.MOST_PAGES == len(asked)


def test_an_answer_that_is_no_json_or_too_large(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Answer({})
    answer.write(b"<html>")
    answer.seek(0)
    ours, _, _ = client(answer)
    with pytest.raises(TargetError, match="not JSON"):
        ours.get("x")
    monkeypatch.setattr(rest, "LARGEST_DOWNLOAD", 10)
    ours, _, _ = client(Answer("x" * 100))
    with pytest.raises(TargetError, match="larger than 10 bytes"):
        ours.download("x")


def test_the_token_is_not_printed() -> None:
    assert "secret" not in repr(Rest("https://api.example", "secret"))
