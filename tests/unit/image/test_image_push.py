"""What a push and a build tell, and what is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import ApplyError, PipelineError, TargetError
from pipeline.image import build, push
from pipeline.image.engine import Engine
from pipeline.image.login import Login

DONE = [{"id": "a", "status": "Pushed"}, {"aux": {"Tag": "t", "Digest": "sha256:1"}}]


class Api:
    """An engine whose pushes end as the script says."""

    def __init__(self, *pushes: list[dict[str, Any]]) -> None:
        self._pushes = iter(pushes)
        self.tokens: list[str] = []
        self.removed: list[str] = []
        self.images = self
        self.api = self

    def get(self, name: str) -> Any:
        assert name == "ml/x:t"
        return SimpleNamespace(tag=lambda *_: None)

    def remove(self, name: str, **_: Any) -> None:
        self.removed.append(name)

    def push(self, _: str, *, auth_config: dict[str, str], **__: Any) -> Iterator[dict[str, Any]]:
        self.tokens.append(auth_config["password"])
        return iter(next(self._pushes))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(1, 100))
    monkeypatch.setattr(push, "login", lambda _: Login("registry:1", "AWS", f"token{next(numbers)}"))
    monkeypatch.setattr(push, "Pace", lambda **_: SimpleNamespace(wait=lambda: None))


def pushed(*pushes: list[dict[str, Any]]) -> tuple[str, Api, list[str]]:
    api, said = Api(*pushes), list[str]()
    engine = Engine(api, "unix:///e", "1", "amd64", "")  # type: ignore[arg-type]
    return push.push(None, engine, "ml/x:t", "ml/x", "t", said.append), api, said  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        "denied: Your authorization token has expired. Reauthenticate and try again.",
        "no basic auth credentials",
        "toomanyrequests: Rate exceeded",
        "received unexpected HTTP status: 503 Service Unavailable",
        "write tcp 127.0.0.1:1->127.0.0.1:2: write: broken pipe",
        "EOF",
    ],
)
def test_what_may_pass_is_tried_again_with_a_fresh_token(error: str) -> None:
    digest, api, said = pushed([{"error": error}], DONE)
    assert digest == "sha256:1"
    assert api.tokens == ["token1", "token2"]
    assert any(error in line for line in said)
    assert api.removed == ["registry:1/ml/x:t"] * 2


def test_a_stream_that_just_ends_is_no_success() -> None:
    digest, api, _ = pushed([{"id": "a", "status": "Pushing"}], DONE)
    assert (digest, len(api.tokens)) == ("sha256:1", 2)


def test_a_held_tag_is_not_tried_again() -> None:
    error = "tag invalid: The image tag 't' already exists in the 'ml/x' repository and cannot be overwritten"
    with pytest.raises(push.TagHeld, match="with another image"):
        pushed([{"error": error}])


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        ("denied: not authorized to perform: ecr:PutImage", ApplyError, "ecr:PutImage"),
        ("no space left on device", ApplyError, "disk is full"),
        ("name unknown: The repository does not exist", ApplyError, "apply again"),
    ],
)
def test_what_cannot_pass_is_told_at_once(error: str, kind: type[PipelineError], hint: str) -> None:
    with pytest.raises(kind) as caught:
        pushed([{"error": error}])
    assert hint in caught.value.hint


def test_throttling_without_end_is_told_as_such() -> None:
    with pytest.raises(TargetError, match="throttled"):
        pushed(*[[{"error": "toomanyrequests"}]] * push.ATTEMPTS)


def test_steps_are_told_with_their_time_or_as_cached() -> None:
    said: list[str] = []
    events: list[dict[str, Any]] = [
        {"stream": "Step 1/2 : FROM x"},
        {"stream": "\n"},
        {"stream": " ---> 0123456789ab\n"},
        {"stream": "Step 2/2 : RUN true"},
        {"stream": " ---> Using cache\n"},
        {"aux": {"ID": "sha256:9"}},
        {"stream": "Successfully built 9\n"},
    ]
    assert build.follow(events, said.append, "D") == "sha256:9"
    assert said[0].startswith("  [1/2] FROM x  (0.0 s)")
    assert said[1] == "  [2/2] RUN true  (cached)"


def test_a_failed_step_is_told_with_what_it_printed() -> None:
    events = [
        {"stream": "Step 2/3 : RUN pip install"},
        {"stream": "ERROR: no matching distribution\n"},
        {"error": "The command '/bin/sh -c pip install' returned a non-zero code: 1"},
    ]
    with pytest.raises(ApplyError, match=r"(?s)step 2/3.*code: 1.*no matching distribution"):
        build.follow(events, lambda _: None, "D")


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        ("write /var/lib/x: no space left on device", "docker system prune"),
        ("pull access denied for base, repository does not exist", "PIPELINE_BASE_IMAGE"),
    ],
)
def test_a_build_that_fails_says_what_to_do(error: str, hint: str) -> None:
    with pytest.raises(ApplyError) as caught:
        build.follow([{"stream": "Step 1/1 : FROM x"}, {"error": error}], lambda _: None, "D")
    assert hint in caught.value.hint


def test_a_build_without_an_image_is_an_error() -> None:
    with pytest.raises(ApplyError, match="without an image"):
        build.follow([{"stream": "Step 1/1 : FROM x"}], lambda _: None, "D")


def test_podmans_words_are_understood() -> None:
    digest = "sha256:" + "0" * 64
    events: list[dict[str, Any]] = [
        {"status": "The push refers to repository [r/ml/x]"},
        {"status": f"t: digest: {digest} size: 737"},
    ]
    assert push.follow(events, lambda _: None) == (digest, "")

    said: list[str] = []
    stream = [
        "[1/2] STEP 1/2: FROM b AS s\n",
        "[1/2] STEP 2/2: RUN make\n",
        "--> Using cache 1b\n",
        "--> 1b\n",
    ]
    told = [{"stream": line} for line in [*stream, "[2/2] STEP 1/1: COPY a /a\n"]]
    assert build.follow([*told, {"aux": {"ID": "sha256:9"}}], said.append, "D") == "sha256:9"
    assert said[1:] == ["  [1/2] [2/2] RUN make  (cached)", "  [2/2] [1/1] COPY a /a  (0.0 s)"]


def test_a_registry_without_tls_says_what_podman_wants() -> None:
    said = "http: server gave HTTP response to HTTPS client"
    with pytest.raises(ApplyError) as caught:
        pushed([{"error": said}])
    assert 'location = "registry"' in caught.value.hint
