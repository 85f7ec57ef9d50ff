"""A look at CSV objects before Spark reads them: what was cut off is told by its end. Folders, no Spark."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY

COLUMNS = ["user", "movie", "rating"]


@pytest.fixture
def source() -> Iterator[ModuleType]:
    """common.source as Glue imports it, and gone again: `common` is no package of this repository's."""
    sys.path.insert(0, str(REPOSITORY / "glue_scripts"))
    try:
        # Not the package's own __init__: it needs Spark.
        package = ModuleType("common")
        package.__path__ = [str(REPOSITORY / "glue_scripts" / "common")]
        sys.modules["common"] = package
        import importlib

        yield importlib.import_module("common.source")
    finally:
        sys.path.pop(0)
        for name in [name for name in sys.modules if name == "common" or name.startswith("common.")]:
            del sys.modules[name]


def look(source: ModuleType, path: Path, header: bool = False) -> None:
    objects = source.storage.look([str(path)])
    source.look_at_csv("ratings", objects, source.Lines(COLUMNS, header))


@pytest.mark.parametrize("text", ["1,2,3\n4,5,6\n", "1,2,3\n4,5,6", "1,2,3\r\n4,5,6\r\n", '1,2,3\n4,"a,b",6'])
def test_a_whole_object_passes_with_or_without_its_last_end_of_line(
    source: ModuleType, tmp_path: Path, text: str
) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    look(source, tmp_path / "a.csv")


@pytest.mark.parametrize("rows", [3, 40_000])
def test_one_that_ends_in_the_midst_of_a_row_is_named(source: ModuleType, tmp_path: Path, rows: int) -> None:
    whole = "".join(f"{n},{n},3\n" for n in range(rows)).encode()
    (tmp_path / "a.csv").write_bytes(whole[: whole.rindex(b",")])
    with pytest.raises(ValueError, match=r"a\.csv is truncated: after .* bytes .* with 2 of 3 columns"):
        look(source, tmp_path / "a.csv")


def test_a_compressed_one_is_not_judged_by_its_last_byte(source: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"1,2,3\n4,5,6\n"))
    look(source, tmp_path / "a.csv.gz")
