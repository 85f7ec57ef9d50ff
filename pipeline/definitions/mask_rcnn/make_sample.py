# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "pillow==13.0.0", "pip==26.1"]
# ///
"""Cuts one microscopy image with 125 outlined nuclei into the tiles of mask_rcnn.

    uv run pipeline/definitions/mask_rcnn/make_sample.py --out FOLDER
    uv run pipeline/definitions/mask_rcnn/make_sample.py --out FOLDER --check    exit 1 when the files differ

The image and its masks are read out of the stardist wheel of the Python package index, which is verified by
its SHA-256; the repository holds none of them. FOLDER/README.md and LICENSE.stardist.txt say under which
terms they come.

    train/images/NAME.png  train/masks/NAME.png    35 tiles of the left three quarters, overlapping
    test/images/NAME.png   test/masks/NAME.png      4 tiles of the right quarter, side by side
    train/classes.json     test/classes.json       the name of the one class

All are 128 x 128, grey, 16 bits. An image holds the microscope's values. A mask holds, pixel by pixel, the
number of the object that is there, 0 where there is none: numbers count from 1 within a tile.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

try:
    import numpy as np
    from PIL import Image  # type: ignore[import-not-found,unused-ignore]
except ImportError as error:
    # What it needs stands at its top, and plain `python` does not read that.
    sys.exit(f"error: {error}; run it with what it needs:  uv run --script {__file__} --out FOLDER")

PACKAGE = "stardist==0.9.2"
# One wheel wherever this runs: it is unpacked, not installed.
WHEEL = ("--python-version", "3.11", "--abi", "cp311", "--platform", "manylinux_2_28_x86_64")
WHEEL_SHA256 = "2316c0feb7bd5621e7a277cb3868df475c338943c591925c420ee3622c42f023"
IMAGE, IMAGE_SHA256 = (
    "stardist/data/images/img2d.tif",
    "f9ccc1571b92c861ff87e28463068b43f61bd47357ed0503f711e5cd1eb97750",
)
MASKS, MASKS_SHA256 = (
    "stardist/data/images/mask2d.tif",
    "59ad5e820b7982ca9d13e946fa6e7f64e2714899e00a2ae6c69aa79aad53d46f",
)
LICENCE = "stardist-0.9.2.dist-info/licenses/LICENSE.txt"
SIDE, TILE, STEP = 512, 128, 64
# Columns from here on are held out: no pixel of theirs is in a training tile.
HELD_OUT_FROM = SIDE * 3 // 4
# What a tile's edge leaves of an object below this many pixels is no object that anybody could outline.
SMALLEST = 16

README = f"""\
# mask_rcnn sample

One fluorescence microscopy image of {SIDE} x {SIDE} pixels with 125 nuclei outlined by hand, as the package
{PACKAGE} ships it (SHA-256 of its wheel: {WHEEL_SHA256}),
cut into tiles of {TILE} x {TILE} by make_sample.py.

Licence: the package is under the 3-clause BSD licence (LICENSE.stardist.txt). The image is one of the 2018
Data Science Bowl, image set BBBC038v1 of the Broad Bioimage Benchmark Collection, which is in the public
domain (CC0): Caicedo et al., Nature Methods 16, 1247-1253 (2019). They are fetched; the repository holds
none.

| Folder | Tiles | For |
|---|---|---|
| train | 35 | training: columns 0 to {HELD_OUT_FROM - 1}, a tile every {STEP} pixels |
| test | 4 | the held-out evaluation: columns {HELD_OUT_FROM} to {SIDE - 1}, side by side |

images/NAME.png: grey, 16 bits, the microscope's values. masks/NAME.png: grey, 16 bits, the number of the
object at each pixel, from 1 on within a tile, 0 for none. Parts of objects below {SMALLEST} pixels, which a
tile's edge leaves, are taken out of the masks.
"""


def fetch(folder: Path) -> Path:
    """Download the wheel into the folder. Raises ValueError when it is not the one that is known."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run([*command, *WHEEL, "--dest", str(folder), PACKAGE], check=False)
    if done.returncode:
        raise ValueError(
            f"{PACKAGE} cannot be fetched from the package index (pip ended with {done.returncode})"
        )
    (wheel,) = folder.glob("*.whl")
    known(wheel.read_bytes(), WHEEL_SHA256, wheel.name)
    return wheel


def known(content: bytes, sha256: str, name: str) -> bytes:
    """The content. Raises ValueError when it has another SHA-256."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ValueError(f"{name} has SHA-256 {digest}, not {sha256}")
    return content


def picture(content: bytes) -> np.ndarray:
    """A grey image's pixels, (512, 512) of uint16. Raises ValueError for another."""
    with Image.open(io.BytesIO(content)) as opened:
        pixels = np.asarray(opened)
    if pixels.shape != (SIDE, SIDE) or pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError(f"an image of {SIDE} x {SIDE} with 16 bits is expected, not {pixels.shape}")
    return pixels.astype(np.uint16)


def places() -> dict[str, list[tuple[int, int]]]:
    """Row and column of each tile's upper left corner, by channel."""
    rows = range(0, SIDE - TILE + 1, STEP)
    return {
        "train": [(row, column) for row in rows for column in range(0, HELD_OUT_FROM - TILE + 1, STEP)],
        "test": [(row, HELD_OUT_FROM) for row in range(0, SIDE - TILE + 1, TILE)],
    }


def objects(numbers: np.ndarray) -> np.ndarray:
    """A tile's masks: parts too small taken out, the rest numbered from 1 in their order."""
    found = np.zeros_like(numbers)
    kept = [one for one in np.unique(numbers) if one and (numbers == one).sum() >= SMALLEST]
    for count, one in enumerate(kept, start=1):
        found[numbers == one] = count
    return found


def png(pixels: np.ndarray) -> bytes:
    """A grey PNG of 16 bits, not compressed: the same bytes whichever zlib there is."""
    height, width = pixels.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    blocks = [lines[start : start + 65535] for start in range(0, len(lines), 65535)]
    stored = b"".join(
        struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks, start=1)
    )
    content = b"\x78\x01" + stored + struct.pack(">I", zlib.adler32(lines))
    head = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", content), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def tiles(image: np.ndarray, masks: np.ndarray) -> dict[str, bytes]:
    """Every tile's file, by its path."""
    files = {}
    for channel, corners in places().items():
        for row, column in corners:
            part = (slice(row, row + TILE), slice(column, column + TILE))
            name = f"tile-{row:03d}-{column:03d}.png"
            files[f"{channel}/images/{name}"] = png(image[part])
            files[f"{channel}/masks/{name}"] = png(objects(masks[part]))
        files[f"{channel}/classes.json"] = b'{"1": "nucleus"}\n'
    return files


def main() -> int:
    """Write the files, or compare them with `--check`; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    args = parser.parse_args()

    try:
        with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(fetch(Path(scratch))) as archive:
            image = picture(known(archive.read(IMAGE), IMAGE_SHA256, IMAGE))
            masks = picture(known(archive.read(MASKS), MASKS_SHA256, MASKS))
            files = {"README.md": README.encode(), "LICENSE.stardist.txt": archive.read(LICENCE)}
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    files |= tiles(image, masks)
    differing = 0
    for name, content in files.items():
        path = args.out / name
        if args.check:
            same = path.is_file() and path.read_bytes() == content
            differing += not same
            print(f"{path}: {'as made' if same else 'differs'}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    if not args.check:
        print(f"{sum('/images/' in name for name in files)} tiles in {args.out}")
        print("The image is in the public domain (CC0), stardist which ships it under the BSD licence")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
