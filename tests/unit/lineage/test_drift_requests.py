"""Drift of requests is told by `pipeline drift`, once, and not where a run was started for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline import settings as store
from pipeline.execution import monitor
from pipeline.lineage import drift

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (None, []),
        ({"status": "SUCCEEDED", "drift": False, "run": "", "said": "no drift"}, []),
        ({"status": "SUCCEEDED", "drift": True, "run": "", "said": "drift of x"}, ["drift of x"]),
        ({"status": "SUCCEEDED", "drift": True, "run": "arn:run", "said": "drift of x"}, []),
        (
            {"status": "FAILED", "drift": False, "run": "", "said": "FAILED: wrong expression"},
            ["requests were not compared: FAILED: wrong expression"],
        ),
    ],
)
def test_what_is_told(monkeypatch: pytest.MonkeyPatch, last: dict[str, Any] | None, told: list[str]) -> None:
    monkeypatch.setattr(monitor, "last", lambda *_: last)
    found = list(drift._requests(store.load(ROOT, "iris", "dev"), object()))  # type: ignore[arg-type]
    assert [each.what for each in found] == told
    assert all((each.kind, each.where) == ("requests", "iris-dev-monitor") for each in found)


@pytest.mark.parametrize("text", ["30s", "5m", "2h", "1d", "2026-11-22", "2026-11-22T10:00:00+01:00"])
def test_times_that_since_takes(text: str) -> None:
    assert monitor.moment(text)[10] == "T"


@pytest.mark.parametrize("text", ["", "h", "2w", "soon", "-2h"])
def test_times_that_it_does_not(text: str) -> None:
    from pipeline.errors import SettingsError

    with pytest.raises(SettingsError, match="no time"):
        monitor.moment(text)
