# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
"""Lays real sales out as the raw channel of big_mart: orange juice in 83 stores of one chain, week by week.

    python pipeline/definitions/big_mart/make_sample.py --out FOLDER --data orange-juice

    raw/sales.csv    106,139 rows with a header: store, brand, week, the prices of all eleven brands, whether
                     it was on deal or featured, what is known of its customers, and logmove, the label

The data is in Debian's package r-cran-bayesm, which `apt-get download` fetches and `dpkg-deb` unpacks without
installing anything; the file in it is verified by its SHA-256. Columns that follow from the sales (profit)
are left out. FOLDER/README.md says under which terms it may be used, FOLDER/settings.toml what to put into
settings.toml for it: other columns, and a split by time (a random one leaks: docs/explanation/big-mart.md).
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = "r-cran-bayesm"
INSIDE = "usr/lib/R/site-library/bayesm/data/orangeJuice.rda"
RDA_SHA256 = "4418b33f320a1e91124e934d4c7e3e978812e9c60b6924037447ffc44cf71855"
ROWS, STORES = 106_139, 83
LABEL = "logmove"
SALES = ("store", "brand", "week", *(f"price{brand}" for brand in range(1, 12)), "deal", "feat", LABEL)
# Of the store's customers, from another table; its own names are in capitals.
ABOUT = ("AGE60", "EDUC", "ETHNIC", "INCOME", "HHLARGE", "WORKWOM", "HVAL150", "SSTRDIST", "SSTRVOL")

README = f"""\
# Orange juice

Weekly sales of refrigerated orange juice in {STORES} stores of Dominick's Finer Foods, Chicago, as the R
package bayesm ships them (`orangeJuice`, from Debian's {PACKAGE}; SHA-256 of the file:
{RDA_SHA256}). The package is under the GPL, version 2 or later.
It is fetched; the repository holds none of it.

A. Montgomery, "Creating Micro-Marketing Pricing Strategies Using Supermarket Scanner Data", Marketing
Science 16 (1997); P. Rossi, G. Allenby and R. McCulloch, "Bayesian Statistics and Marketing", 2005.
"""

SETTINGS = f"""\
# In place of the arguments of big_mart's settings.toml.
[transforms.features.arguments]
LABEL = "{LABEL}"                 # logarithm of the units sold
GROUP = "store"
NUMBERS = "week,{",".join(f"price{brand}" for brand in range(1, 12))},deal,feat,{",".join(ABOUT)}"
CATEGORIES = "store,brand"
TIME = "week"                     # the latest weeks are held out
"""


class Reader:
    """R's serialization, version 2, XDR (R Internals, section 1.8), as far as data frames need it."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._references: list[Any] = []
        if data[:7] != b"RDX2\nX\n":
            raise ValueError("no R data of version 2 in XDR")
        self._at = 7 + 12

    def pairs(self) -> dict[str, Any]:
        """The pairlist that begins here, by its tags."""
        found: dict[str, Any] = {}
        while True:
            kind, _, attributes, tag = self._flags()
            if kind == 254:
                return found
            if kind != 2:
                raise ValueError(f"a pairlist is expected, not type {kind}")
            if attributes:
                self.item()
            name = self.item() if tag else ""
            found[str(name)] = self.item()

    def item(self) -> Any:
        """The object that begins here: text, list of values, or a dictionary of a named list."""
        at = self._at
        kind, packed, attributes, _ = self._flags()
        if kind == 1:
            self._references.append(self.item())
            return self._references[-1]
        if kind == 255:
            return self._references[(packed >> 8) - 1]
        if kind == 254:
            return None
        if kind == 2:
            self._at = at
            return self.pairs()
        if kind == 9:
            size = self._whole()
            return "" if size < 0 else self._take(size).decode("utf-8")
        count = self._whole()
        if kind == 14:
            values: list[Any] = list(struct.unpack(f">{count}d", self._take(8 * count)))
        elif kind in (10, 13):
            values = list(struct.unpack(f">{count}i", self._take(4 * count)))
        elif kind in (16, 19):
            values = [self.item() for _ in range(count)]
        else:
            raise ValueError(f"R's type {kind} is not read")
        names = self.pairs().get("names") if attributes else None
        return dict(zip(names, values, strict=True)) if names and kind == 19 else values

    def _flags(self) -> tuple[int, int, bool, bool]:
        packed = self._whole()
        return packed & 255, packed, bool(packed & 512), bool(packed & 1024)

    def _whole(self) -> int:
        return int(struct.unpack(">i", self._take(4))[0])

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]


def fetch(folder: Path) -> bytes:
    """The data file out of the package. Raises ValueError when it is not the known one, or cannot be had."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise ValueError(f"there is no {program}: the real data comes as a package of Debian")
    subprocess.run(["apt-get", "--quiet", "--quiet", "download", PACKAGE], cwd=folder, check=True)
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "--extract", str(package), str(folder / "unpacked")], check=True)
    content = (folder / "unpacked" / INSIDE).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != RDA_SHA256:
        raise ValueError(f"{INSIDE} has SHA-256 {digest}, not {RDA_SHA256}")
    return content


def sales(content: bytes) -> str:
    """The rows as CSV, in the order of weeks. Raises ValueError when they are not the known ones."""
    found = Reader(lzma.decompress(content)).pairs()["orangeJuice"]
    weekly, stores = found["yx"], found["storedemo"]
    if len(weekly["store"]) != ROWS or len(set(weekly["store"])) != STORES:
        raise ValueError(
            f"{len(weekly['store'])} rows of {len(set(weekly['store']))} stores; not the known data"
        )
    place = {store: row for row, store in enumerate(stores["STORE"])}
    lines = [",".join([*SALES[:-1], *ABOUT, LABEL])]
    rows = sorted(
        range(ROWS), key=lambda row: (weekly["week"][row], weekly["store"][row], weekly["brand"][row])
    )
    for row in rows:
        own = [weekly[name][row] for name in SALES[:-1]]
        about = [stores[name][place[weekly["store"][row]]] for name in ABOUT]
        lines.append(",".join(f"{value:.7g}" for value in (*own, *about, weekly[LABEL][row])))
    return "\n".join(lines) + "\n"


def made() -> dict[str, str]:
    """All files by name."""
    with tempfile.TemporaryDirectory() as scratch:
        return {"README.md": README, "settings.toml": SETTINGS, "raw/sales.csv": sales(fetch(Path(scratch)))}
