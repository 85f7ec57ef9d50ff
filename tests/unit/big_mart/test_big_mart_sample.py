"""The drawn sample, the same everywhere, and the reader of R's data files."""

from __future__ import annotations

import hashlib
import importlib.util
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HOME = Path(__file__).resolve().parents[3] / "pipeline" / "definitions" / "big_mart"
SHA256 = "1f80a4b65fd60321fcd5395d9e8fc226db2a4954d90b49745aeb58e5d4fd2956"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HOME / f"{name}.py")
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_sample_has_the_articles_columns_and_counts_and_is_the_same_everywhere() -> None:
    found = module("make_sample").made()
    sold = [line.split(",") for line in found["raw/sales.csv"].splitlines()]
    following = [line.split(",") for line in found["next_month.csv"].splitlines()]
    assert len(sold) == 1 + 8523 and len(following) == 5681
    assert len(sold[0]) == 12 and sold[0][-1] == "Item_Outlet_Sales"
    assert {len(row) for row in following} == {11}
    pairs = [(row[0], row[6]) for row in [*sold[1:], *following]]
    assert len(set(pairs)) == len(pairs), "nothing that was sold is asked for again"
    assert len({row[0] for row in sold[1:]}) > 1500 and len({row[6] for row in sold[1:]}) == 10
    assert {row[2] for row in sold[1:]} == {"Low Fat", "Regular", "LF", "low fat", "reg"}
    assert hashlib.sha256(found["raw/sales.csv"].encode()).hexdigest() == SHA256


def _text(value: str) -> bytes:
    return struct.pack(">ii", 9, len(value)) + value.encode()


def _symbol(value: str) -> bytes:
    return struct.pack(">i", 1) + _text(value)


def _names(*values: str) -> bytes:
    listed = struct.pack(">ii", 16, len(values)) + b"".join(map(_text, values))
    return struct.pack(">i", 2 | 1024) + _symbol("names") + listed + struct.pack(">i", 254)


def test_a_list_of_columns_is_read_as_r_writes_it() -> None:
    numbers = struct.pack(">ii2d", 14, 2, 1.5, -2.0)
    whole = struct.pack(">ii2i", 13, 2, 7, 8)
    frame = struct.pack(">ii", 19 | 512, 2) + numbers + whole + _names("price", "week")
    data = b"RDX2\nX\n" + bytes(12) + struct.pack(">i", 2 | 1024) + _symbol("sales") + frame
    data += struct.pack(">i", 254)
    reader: Any = module("make_orange_juice").Reader
    assert reader(data).pairs() == {"sales": {"price": [1.5, -2.0], "week": [7, 8]}}
    with pytest.raises(ValueError, match="version 2"):
        reader(b"RDX3\nX\n" + bytes(12))
