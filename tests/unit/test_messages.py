"""What messages point to is there: pages, make targets; and no traceback reaches a user unasked."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.cli import main

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]


def hints() -> Iterator[tuple[Path, str]]:
    """The text of every `hint=...` in our code."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                for part in ast.walk(node.value):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield path, part.value


def test_pages_and_targets_that_hints_name_exist() -> None:
    seen = 0
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    for path, text in hints():
        seen += 1
        for page in re.findall(r"\bdocs/[\w/-]+\.md", text):
            assert (ROOT / page).is_file(), f"{path.relative_to(ROOT)}: {text}"
        for target in re.findall(r"\bmake ([a-z]+) puts\b|^make ([a-z]+)$", text):
            assert set(target) & set(targets), f"{path.relative_to(ROOT)}: {text}"
        for verb in re.findall(r"`?pipeline ([a-z]+) ", text):
            assert verb in cli.VERBS, f"{path.relative_to(ROOT)}: {text}"
    assert seen > 50


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            PermissionError(13, "Permission denied", "/x/.pipeline"),
            "error: /x/.pipeline: Permission denied\n",
        ),
        (KeyError("Outputs"), "error: KeyError: 'Outputs'\n"),
    ],
)
def test_a_fault_is_one_line_and_a_traceback_only_with_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, told: str
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr("pipeline.cli.check.run", fail)
    monkeypatch.delenv("PIPELINE_DEBUG", raising=False)
    assert main(["check"]) == 1
    assert capsys.readouterr().err.startswith(told)
    with pytest.raises(type(error)):
        main(["--debug", "check"])


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault(closed: str) -> None:
    command = f'"{sys.executable}" -m pipeline check no-such-pipeline {closed}'
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Error" not in done.stderr
