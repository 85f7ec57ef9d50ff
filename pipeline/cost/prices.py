"""The table of prices: what one unit costs in a region, who says so, and since when."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("prices.toml")
_META = frozenset({"region", "regions", "date", "source"})


@dataclass(frozen=True)
class Price:
    """USD for one unit.

    Args:
        date: when it was read, YYYY-MM-DD, or `undated`.
    """

    usd: float
    source: str
    date: str


@dataclass(frozen=True)
class Prices:
    """The prices of one region, by `kind` or `kind/item`: `training/ml.m5.large`, `transitions`."""

    region: str
    known: dict[str, Price] = field(default_factory=dict)
    spot_lowest_share: float | None = None

    def find(self, kind: str, item: str = "") -> Price | None:
        """None where the table does not say: unknown, which is not 0."""
        return self.known.get(f"{kind}/{item}" if item else kind)


def of(region: str, file: Path = TABLE) -> Prices:
    """The prices of `region`; a region nobody wrote down has none."""
    table = _read(file)
    known: dict[str, Price] = {}
    for each in table.get("list", []):
        if region not in each.get("regions", [each.get("region")]):
            continue
        for kind, value in each.items():
            if kind in _META:
                continue
            items = value.items() if isinstance(value, dict) else [("", value)]
            for item, usd in items:
                known[f"{kind}/{item}" if item else kind] = Price(float(usd), each["source"], each["date"])
    return Prices(region, known, table.get("spot", {}).get("lowest_share"))


@cache
def _read(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))
