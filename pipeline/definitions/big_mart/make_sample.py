# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
"""Makes rows like those of Big Mart: what each product sold in each store, and next month's, not yet sold.

    uv run pipeline/definitions/big_mart/make_sample.py --out FOLDER
    uv run pipeline/definitions/big_mart/make_sample.py --out FOLDER --check      exit 1 when the files differ
    uv run pipeline/definitions/big_mart/make_sample.py --out FOLDER --data orange-juice   real sales instead

    raw/sales.csv     8,523 rows with a header, Item_Outlet_Sales the last column
    next_month.csv    5,681 rows without a header and without sales, for `pipeline batch`

Big Mart itself is in no package that may be handed on. These rows are drawn, from the column names, the
counts and the rough shape that articles about it tell: four price ranges; ten stores of four kinds, of which
groceries sell least and Supermarket Type3 most; weights unknown in two stores and sizes in three; a
visibility of 0 where nobody looked; and `LF`, `low fat` and `reg` beside Low Fat and Regular. Sales are price
times units, and units follow kind of store, visibility and chance (CHANCE), so that no model explains much
more than 60 % of them.

The real data is 106,139 weekly sales of orange juice in 83 stores (make_orange_juice.py, which needs apt).
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from pathlib import Path

SEED = 7
ITEMS, SOLD, NEXT = 1_559, 8_523, 5_681
LABEL = "Item_Outlet_Sales"
COLUMNS = (
    "Item_Identifier",
    "Item_Weight",
    "Item_Fat_Content",
    "Item_Visibility",
    "Item_Type",
    "Item_MRP",
    "Outlet_Identifier",
    "Outlet_Establishment_Year",
    "Outlet_Size",
    "Outlet_Location_Type",
    "Outlet_Type",
)
# Type of a product -> how often, how it is filed, and whether its fat is worth telling.
TYPES = {
    "Fruits and Vegetables": (1232, "FD"),
    "Snack Foods": (1200, "FD"),
    "Household": (910, "NC"),
    "Frozen Foods": (856, "FD"),
    "Dairy": (682, "FD"),
    "Canned": (649, "FD"),
    "Baking Goods": (648, "FD"),
    "Health and Hygiene": (520, "NC"),
    "Soft Drinks": (445, "DR"),
    "Meat": (425, "FD"),
    "Breads": (251, "FD"),
    "Hard Drinks": (214, "DR"),
    "Others": (169, "NC"),
    "Starchy Foods": (148, "FD"),
    "Breakfast": (110, "FD"),
    "Seafood": (64, "FD"),
}
# Identifier, year, size ("": nobody wrote it down), location, kind.
OUTLETS = (
    ("OUT010", 1998, "", "Tier 3", "Grocery Store"),
    ("OUT013", 1987, "High", "Tier 3", "Supermarket Type1"),
    ("OUT017", 2007, "", "Tier 2", "Supermarket Type1"),
    ("OUT018", 2009, "Medium", "Tier 3", "Supermarket Type2"),
    ("OUT019", 1985, "Small", "Tier 1", "Grocery Store"),
    ("OUT027", 1985, "Medium", "Tier 3", "Supermarket Type3"),
    ("OUT035", 2004, "Small", "Tier 2", "Supermarket Type1"),
    ("OUT045", 2002, "", "Tier 2", "Supermarket Type1"),
    ("OUT046", 1997, "Small", "Tier 1", "Supermarket Type1"),
    ("OUT049", 1999, "Medium", "Tier 1", "Supermarket Type1"),
)
UNWEIGHED = ("OUT019", "OUT027")
# Units of a product that a store of this kind sells in a month.
UNITS = {
    "Grocery Store": 2.5,
    "Supermarket Type1": 16.0,
    "Supermarket Type2": 14.0,
    "Supermarket Type3": 26.0,
}
# Least and largest price of four ranges, and how many of 100 products are in each.
PRICES = ((31.0, 70.0, 22), (70.0, 137.0, 28), (137.0, 204.0, 32), (204.0, 267.0, 18))
# How far chance spreads the units of a product everywhere, and of one product in one store.
POPULARITY, CHANCE = 0.12, 0.42
SPELLINGS = {"Low Fat": (("LF", 0.06), ("low fat", 0.02)), "Regular": (("reg", 0.04),)}

README = f"""\
# big_mart sample

Drawn by make_sample.py (seed {SEED}), nobody's data: it may be used and handed on under this repository's
licence. The names of the columns are those of the Big Mart data set that articles use.

| File | Rows | For |
|---|---|---|
| raw/sales.csv | {SOLD:,} | training, validation and the held-out test, which `preprocess` keeps apart |
| next_month.csv | {NEXT:,} | `pipeline batch`: products in stores that sold none yet; no header, no sales |
"""


class Dice:
    """Chance that is the same on every machine: by `random.random` alone, whose sequence Python keeps."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random()

    def below(self, share: float) -> bool:
        return self._random() < share

    def normal(self) -> float:
        return math.sqrt(-2 * math.log(1 - self._random())) * math.cos(2 * math.pi * self._random())

    def weighted(self, weights: list[float]) -> int:
        """An index, by its weight."""
        left = self._random() * sum(weights)
        for index, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return index
        return len(weights) - 1

    def shuffled(self, count: int) -> list[int]:
        """0..count-1 in a drawn order."""
        return [index for _, index in sorted((self._random(), index) for index in range(count))]


def items(dice: Dice) -> list[dict[str, object]]:
    """The products: what is the same of them in every store."""
    found: list[dict[str, object]] = []
    kinds = list(TYPES)
    for number in range(ITEMS):
        kind = kinds[dice.weighted([share for share, _ in TYPES.values()])]
        filed = TYPES[kind][1]
        low, high, _ = PRICES[dice.weighted([share for *_, share in PRICES])]
        fat = "Low Fat" if filed == "NC" or dice.below(0.55) else "Regular"
        found.append(
            {
                "Item_Identifier": f"{filed}{chr(65 + number // 60 % 26)}{number % 60 + 1:02d}",
                "Item_Weight": round(dice.between(4.5, 21.4), 2),
                "Item_Fat_Content": fat,
                # Most products get little of a store's shelves.
                "visibility": min(0.18, 0.012 + 0.045 * abs(dice.normal())),
                "Item_Type": kind,
                "Item_MRP": round(dice.between(low, high), 4),
                "popularity": math.exp(POPULARITY * dice.normal() - POPULARITY**2 / 2),
            }
        )
    return found


def row(
    item: dict[str, object], outlet: tuple[str, int, str, str, str], dice: Dice
) -> tuple[list[str], float]:
    """One product in one store: its cells, and what it sold there."""
    name, year, size, location, kind = outlet
    fat = str(item["Item_Fat_Content"])
    for spelling, share in SPELLINGS[fat]:
        if dice.below(share):
            fat = spelling
            break
    # A grocery has fewer shelves, of which each product has more.
    seen = (
        float(str(item["visibility"])) * (1.8 if kind == "Grocery Store" else 1.0) * dice.between(0.95, 1.05)
    )
    price, popularity = float(str(item["Item_MRP"])), float(str(item["popularity"]))
    chance = math.exp(CHANCE * dice.normal() - CHANCE**2 / 2)
    units = UNITS[kind] * popularity * chance * (1.05 - 0.8 * min(seen, 0.25))
    cells = [
        str(item["Item_Identifier"]),
        "" if name in UNWEIGHED else str(item["Item_Weight"]),
        fat,
        "0.0" if dice.below(0.06) else f"{seen:.9f}",
        str(item["Item_Type"]),
        f"{price:.4f}",
        name,
        str(year),
        size,
        location,
        kind,
    ]
    return cells, max(33.29, price * units)


def made() -> dict[str, str]:
    """All files by name."""
    dice = Dice(SEED)
    products = items(dice)
    pairs = dice.shuffled(ITEMS * len(OUTLETS))[: SOLD + NEXT]
    rows = [row(products[pair // len(OUTLETS)], OUTLETS[pair % len(OUTLETS)], dice) for pair in pairs]
    sold = [",".join([*COLUMNS, LABEL])]
    sold += [",".join([*cells, f"{sales:.4f}"]) for cells, sales in rows[:SOLD]]
    following = [",".join(cells) for cells, _ in rows[SOLD:]]
    return {
        "README.md": README,
        "raw/sales.csv": "\n".join(sold) + "\n",
        "next_month.csv": "\n".join(following) + "\n",
    }


def main() -> int:
    """Write the files, or compare them with `--check`; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--data", choices=("drawn", "orange-juice"), default="drawn", help="which rows")
    args = parser.parse_args()

    if args.data == "orange-juice":
        # Beside this file.
        import make_orange_juice  # type: ignore[import-not-found]

        files = make_orange_juice.made()
    else:
        files = made()
    differing = 0
    for name, text in files.items():
        path = args.out / name
        if args.check:
            same = path.is_file() and path.read_text(encoding="utf-8") == text
            differing += not same
            print(f"{path}: {'as made' if same else 'differs'}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"{path}: {text.count(chr(10))} lines")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
