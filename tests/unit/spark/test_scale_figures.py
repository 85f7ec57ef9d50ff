"""The tables and the plot of `make bench-scale`, from figures given by hand."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def draw() -> ModuleType:
    place = REPOSITORY / "scripts" / "bench_scale" / "draw.py"
    spec = importlib.util.spec_from_file_location("bench_scale_draw", place)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured() -> dict[str, Any]:
    def run(rows: int, engine: str, seconds: float, peak: int) -> dict[str, Any]:
        return {"rows": rows, "engine": engine, "seconds": seconds, "cpu_seconds": seconds, "peak_mb": peak}

    return {
        "runs": [
            run(100_000, "spark", 20.0, 800),
            run(100_000, "duckdb", 1.0, 100),
            run(1_000_000, "spark", 40.0, 1600),
            run(1_000_000, "duckdb", 10.0, 200),
            {"rows": 1_000_000, "engine": "pandas", "failed": "more than 14 GB"},
        ],
        "cores": {"rows": 1_000_000, "1": 60.0, "2": 40.0},
    }


def test_a_size_is_a_row_with_ratios_to_spark(draw: ModuleType) -> None:
    lines = draw.table(measured()).splitlines()
    assert lines[2].startswith(
        "| 100 thousand | 20.0 s, 20.0 CPU s, 0.8 GB | - | - | 1.0 s, 1.0 CPU s, 0.1 GB (0.05 x)"
    )
    assert "| more than 14 GB |" in lines[3]
    assert "(0.25 x)" in lines[3]


def test_growth_is_the_exponent_of_the_rows(draw: ModuleType) -> None:
    lines = draw.growth(measured()).splitlines()
    assert lines[2] == "| 100 thousand, 1 million | CPU | 0.30 | - | - | 1.00 | - |"
    assert lines[3] == "| 100 thousand, 1 million | memory | 0.30 | - | - | 0.30 | - |"


def test_workers_are_bounded_by_what_is_not_parallel(draw: ModuleType) -> None:
    text = draw.workers(measured())
    assert "67% of the work is parallel" in text
    assert "| 2 | 4 | 2.0 | 60 |" in text  # 1 / (1/3 + 2/3/4), 30 s of two DPUs
    assert "| 20 | 76 | 2.9 |" in text


def test_the_plot_is_xml_with_a_line_for_each_engine_that_ended(draw: ModuleType) -> None:
    root = ElementTree.fromstring(draw.svg(measured()))
    lines = [each for each in root.iter() if each.tag.endswith("polyline")]
    assert len(lines) == 4  # Spark and DuckDB, seconds and memory
    labels = [each.text for each in root.iter() if each.tag.endswith("text")]
    assert "100 k" in labels
    assert "DuckDB" in labels
