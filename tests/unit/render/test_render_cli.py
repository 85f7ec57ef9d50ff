"""`pipeline render`: what it writes, what it prints, and what it says when rendering cannot end well."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import render as verb
from pipeline.errors import DefinitionError
from pipeline.render import LambdaPackage, Rendered, asl, render
from pipeline.settings.model import Settings

RENDERED = Rendered({"States": {}}, {"Resources": {}}, (LambdaPackage("gate", b"zip"),))


def test_written_files_replace_those_of_before(tmp_path: Path) -> None:
    (tmp_path / "lambdas").mkdir()
    (tmp_path / "lambdas" / "gone.zip").write_bytes(b"old")
    (tmp_path / "kept.txt").write_text("mine")
    written = verb.write(RENDERED, tmp_path)
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["kept.txt", "lambdas/gate.zip", "state-machine.asl.json", "template.json"]
    assert {"path": "lambdas/gate.zip", "bytes": 3} in written
    assert json.loads((tmp_path / "template.json").read_text()) == RENDERED.template


def test_asl_only_leaves_the_rest_alone(tmp_path: Path) -> None:
    verb.write(RENDERED, tmp_path, asl_only=True)
    assert [path.name for path in tmp_path.iterdir()] == ["state-machine.asl.json"]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Run the verb on a rendering that is given, for a pipeline whose stack is demo-dev."""

    def run(*arguments: str) -> None:
        loaded = argparse.Namespace(stack_name="demo-dev")
        monkeypatch.setattr("pipeline.settings.find_root", lambda *_: tmp_path)
        monkeypatch.setattr("pipeline.settings.load", lambda *_: loaded)
        monkeypatch.setattr("pipeline.render.render", lambda _: RENDERED)
        parser = argparse.ArgumentParser()
        verb.configure(parser)
        assert verb.run(parser.parse_args(["demo", *arguments])) == 0

    return run


def test_output_is_a_document_or_a_list_of_files(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command("--stdout", "--asl-only")
    assert json.loads(capsys.readouterr().out) == RENDERED.asl
    assert not (tmp_path / "build").exists()
    command("--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed["digest"] == RENDERED.digest
    assert (Path(printed["folder"]) / printed["files"][0]["path"]).is_file()
    assert Path(printed["folder"]) == tmp_path / "build" / "demo-dev"


def test_digest_covers_code_template_and_machine() -> None:
    others = (
        Rendered({"States": {"a": 1}}, RENDERED.template, RENDERED.lambdas),
        Rendered(RENDERED.asl, {"Resources": {"a": 1}}, RENDERED.lambdas),
        Rendered(RENDERED.asl, RENDERED.template, (LambdaPackage("gate", b"other"),)),
    )
    assert len({RENDERED.digest, *(other.digest for other in others)}) == 4


def test_a_child_that_dies_or_hangs_is_told_with_its_last_words(
    make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = tmp_path / "pipeline" / "definitions" / "demo" / "definition.py"
    definition.parent.mkdir(parents=True)
    definition.write_text("")

    def dies(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, stdout="", stderr="Traceback\nImportError: no sagemaker")

    def hangs(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("child", asl.TIMEOUT_SECONDS)

    monkeypatch.setattr(subprocess, "run", dies)
    with pytest.raises(DefinitionError, match=r"exit code 1.*\n.*no sagemaker"):
        render(make_settings())
    monkeypatch.setattr(subprocess, "run", hangs)
    with pytest.raises(DefinitionError, match="did not end within"):
        render(make_settings())
    assert not list((tmp_path / ".pipeline").rglob("*.json")), "a failure is not remembered"


def test_an_error_in_the_definition_has_its_place_within_the_repository(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    definition = tmp_path / "pipeline" / "definitions" / "demo" / "definition.py"
    definition.parent.mkdir(parents=True)
    definition.write_text("\ndefine = nonesuch\n")
    with pytest.raises(DefinitionError, match="nonesuch") as error:
        render(make_settings())
    assert error.value.where == "pipeline/definitions/demo/definition.py:2"
