"""An endpoint's answer reaches whoever asked byte for byte, text or not."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.response import StreamingBody

from pipeline.cli import invoke as verb
from pipeline.errors import SettingsError
from pipeline.execution import invoke
from pipeline.execution.invoke import Answer
from pipeline.settings.model import Smoke
from tests.unit.execution.test_execution_calls import ANY, Stubbed

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff\xfe"
IMAGE = Answer(PNG, "image/png", "live", 1.0)


@pytest.fixture
def aws() -> Stubbed:
    return Stubbed()


@pytest.fixture
def settings() -> Any:
    smoke = Smoke(content_type="text/csv", accept="text/csv", body="1")
    return SimpleNamespace(name="iris", stack_name="iris-dev", pipeline=SimpleNamespace(smoke=smoke))


def test_what_the_endpoint_sends_is_kept_as_it_is(aws: Stubbed, settings: Any) -> None:
    answered = {"Body": StreamingBody(io.BytesIO(PNG), len(PNG)), "ContentType": "image/png"}
    asked = {"EndpointName": "iris-dev", "Body": ANY, "ContentType": ANY, "Accept": "image/png"}
    aws.sagemaker_runtime.add_response("invoke_endpoint", answered, asked)
    assert invoke.invoke(settings, aws.clients, accept="image/png").content == PNG


@pytest.mark.parametrize(
    ("content", "kind"),
    [(PNG, "image/png"), (b"plain", "image/png"), (b"\x93NUMPY\x01", ""), (b"a\0b", "text/csv")],
)
def test_what_is_no_text_reaches_stdout_unchanged(
    capfdbinary: pytest.CaptureFixture[bytes], content: bytes, kind: str
) -> None:
    verb._give(Answer(content, kind, "live", 1.0), None, as_json=False)
    assert capfdbinary.readouterr().out == content


def test_text_gets_its_newline_and_a_file_gets_none(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    answer = Answer("größer".encode(), "text/csv", "live", 1.0)
    verb._give(answer, None, as_json=False)
    assert capfdbinary.readouterr().out == "größer\n".encode()
    verb._give(answer, str(tmp_path / "new" / "answer.csv"), as_json=False)
    assert (tmp_path / "new" / "answer.csv").read_bytes() == answer.content
    assert capfdbinary.readouterr().out == b""


def test_a_terminal_is_spared_and_told_of_out(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(SettingsError, match="not printed on a terminal") as refused:
        verb._give(IMAGE, None, as_json=False)
    assert "--out" in (refused.value.hint or "")
    assert capfdbinary.readouterr().out == b""
    verb._give(IMAGE, str(tmp_path / "a.png"), as_json=False)
    assert (tmp_path / "a.png").read_bytes() == PNG


def test_json_says_how_the_body_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    verb._give(IMAGE, None, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (base64.b64decode(told["body"]), told["encoding"]) == (PNG, "base64")
    verb._give(Answer(b"1\n", "text/csv", "live", 1.0), None, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["body"], told["encoding"]) == ("1\n", "text")
