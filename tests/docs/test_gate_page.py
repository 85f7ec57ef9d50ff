"""The tables of docs/explanation/gate.md are what the arithmetic gives."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gate_figures", ROOT / "scripts" / "gate_figures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    kept = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = kept
    return module


@pytest.mark.parametrize("name", ["power", "false-stops", "smallest-margin"])
def test_a_table_is_what_the_arithmetic_gives(figures: ModuleType, name: str) -> None:
    page = (ROOT / "docs" / "explanation" / "gate.md").read_text(encoding="utf-8")
    assert figures.put(page, name, figures.EXACT[name]()) == page, "run: make gate-figures"


def test_every_figure_has_its_place_and_is_filled(figures: ModuleType) -> None:
    page = (ROOT / "docs" / "explanation" / "gate.md").read_text(encoding="utf-8")
    for name in [*figures.EXACT, *figures.SLOW]:
        assert f"<!-- figure: {name} -->\n|" in page, name


def test_an_equal_model_is_never_stopped_more_often_than_said(figures: ModuleType) -> None:
    for rows in (40, 120):
        for share in (0.05, 0.3, 0.9):
            assert figures.stopped(rows, share / 2, share / 2) <= 0.05
