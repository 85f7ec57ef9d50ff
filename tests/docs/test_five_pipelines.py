"""The page of the pipelines side by side: tables and graphs are up to date, the tests it names exist."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/explanation/five-pipelines.md"


@pytest.fixture(scope="module")
def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pipelines_table", ROOT / "scripts/pipelines_table.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_what_the_repository_gives(table: ModuleType) -> None:
    page = PAGE.read_text()
    assert table.made(page) == page, "run: make pipelines-table"
    for name in table.names():
        assert page.count(f"| `{name}` |") == len(table.SECTIONS), name


def test_every_pipeline_has_its_graph_as_rendered_and_no_graph_is_left_over(table: ModuleType) -> None:
    pictures = table.pictures()
    there = set((ROOT / "docs/explanation/pipelines").glob("*.svg"))
    assert there == set(pictures), "run: make pipelines-table"
    for file, text in pictures.items():
        assert file.read_text() == text, f"{file.name} is old; run: make pipelines-table"


def test_what_is_shown_as_measured_was_and_passed_its_gate(table: ModuleType) -> None:
    measured = json.loads(table.MEASURED.read_text())
    assert set(measured) <= set(table.names())
    for name, found in measured.items():
        assert found["seconds"] > 0
        assert found["metrics"], name


def test_each_line_about_the_originals_names_tests_that_exist() -> None:
    section = PAGE.read_text().split("## What the originals do", 1)[1]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(lines) >= 25
    for line in lines:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", line)
        assert named, f"no test: {line}"
        for file, test in named:
            assert re.search(rf"^\s*def {test}\(", (ROOT / file).read_text(), re.M), f"{file} has no {test}"
