"""A pipeline's sample: the folder that is there, or what make_sample.py makes, once and whole."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.execution import sample

SCRIPT = """\
# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
import sys
from pathlib import Path
out = Path(sys.argv[sys.argv.index("--out") + 1])
(out / "train").mkdir(parents=True)
(out / "train" / "a.csv").write_text("1,2\\n")
print("a line of progress", flush=True)
{end}
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "pipeline" / "definitions" / "churn").mkdir(parents=True)
    return SimpleNamespace(root=tmp_path, name="churn")


def script(settings: Any, end: str = "") -> None:
    home = settings.root / "pipeline" / "definitions" / "churn"
    (home / "make_sample.py").write_text(SCRIPT.format(end=end))


def test_what_is_in_the_repository_is_taken(settings: Any) -> None:
    script(settings, "sys.exit('must not run')")
    kept = settings.root / "pipeline" / "definitions" / "churn" / "sample"
    kept.mkdir()
    assert sample.folder(settings, pytest.fail) == kept


def test_it_is_made_once_until_the_script_changes(settings: Any) -> None:
    script(settings)
    said: list[str] = []
    made = sample.folder(settings, said.append)
    assert (made / "train" / "a.csv").read_text() == "1,2\n"
    assert any("a line of progress" in line for line in said)
    assert sample.folder(settings, pytest.fail) == made
    script(settings, "(out / 'train' / 'b.csv').touch()")
    again = sample.folder(settings, said.append)
    assert again != made and (again / "train" / "b.csv").exists()


def test_a_script_that_fails_leaves_nothing_and_says_why(settings: Any) -> None:
    script(settings, "sys.exit('the archive has another checksum')")
    with pytest.raises(SettingsError, match="ended with 1: the archive has another checksum") as caught:
        sample.folder(settings, lambda _: None)
    assert "make_sample.py" in caught.value.where
    left = [p for p in (settings.root / "cache").rglob("*") if p.is_dir() and p.name.startswith("churn-")]
    assert left == []


def test_without_either_it_says_what_to_do(settings: Any) -> None:
    with pytest.raises(SettingsError, match="no sample data") as caught:
        sample.folder(settings, pytest.fail)
    assert "--from" in caught.value.hint
