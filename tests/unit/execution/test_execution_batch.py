"""Where the answers of a batch lie, unless it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.execution.batch import _beside


def test_answers_lie_beside_what_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = Path("sample") / "rows.csv"
    rows.parent.mkdir()
    rows.write_text("1\n")
    # The object's answers are called rows.csv.out by SageMaker itself.
    assert _beside(rows) == Path("sample")
    assert _beside(Path("sample/")) == Path("sample.out")
    assert _beside(Path()) == Path(f"{tmp_path}.out")


def test_a_folder_in_the_way_of_a_files_answers_is_told(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("1\n")
    (tmp_path / "rows.csv.out").mkdir()
    with pytest.raises(SettingsError, match="is a folder"):
        _beside(tmp_path / "rows.csv")
