"""Run in the container's venv: raw CSV to Parquet as the Glue script leaves it, and questions about pixels.

python parquet.py write CSV OUT.parquet ROWS SCALE    what Spark writes, by pyarrow; SCALE "" records none
python parquet.py same CSV MODEL FOLDER               raw rows through serving's table, and the dataset's
python parquet.py png CSV FOLDER ROWS                 the first rows as image files <row>-<digit>.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def raw(path: str) -> Any:
    """Labels (rows,) and raw pixels (rows, 784)."""
    table = np.loadtxt(path, delimiter=",", dtype=np.int64, ndmin=2)
    return table[:, 0], table[:, 1:].astype(np.uint8)


def write(csv: str, out: str, rows: str, scale: str) -> None:
    """The first rows as a Parquet file with the schema that Spark writes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    labels, pixels = (part[: int(rows)] for part in raw(csv))
    seen = (pixels.astype(np.float64) / float(scale or 255)).astype(np.float32)
    offsets = np.arange(0, seen.size + 1, 784, dtype=np.int32)
    columns = {
        "label": pa.array(labels, pa.int8()),
        "pixels": pa.ListArray.from_arrays(offsets, pa.array(seen.reshape(-1))),
    }
    metadata = {"scale": float(scale)} if scale else {}
    schema = {"type": "struct", "fields": [{"name": "label"}, {"name": "pixels", "metadata": metadata}]}
    table = pa.table(columns).replace_schema_metadata(
        {"org.apache.spark.sql.parquet.row.metadata": json.dumps(schema)}
    )
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, out)


def same(csv: str, model: str, folder: str) -> None:
    """Tell how many of the dataset's rows are, to the bit, what serving makes of a raw row."""
    from mnist_program import pixels
    from mnist_program.data import open_channel
    from mnist_program.model import load

    levels = pixels.table(load(Path(model)).scale)
    labels, images = raw(csv)
    served = {
        (int(label), pixels.seen(image, levels).tobytes())
        for label, image in zip(labels, images, strict=True)
    }
    trained = [
        (int(label), image.tobytes())
        for rows, digits in open_channel(Path(folder), "any").batches()
        for image, label in zip(rows, digits, strict=True)
    ]
    print(json.dumps({"rows": len(trained), "same": sum(row in served for row in trained)}))


def png(csv: str, folder: str, rows: str) -> None:
    """Image files, as a client would have them."""
    from PIL import Image

    labels, images = raw(csv)
    Path(folder).mkdir(parents=True, exist_ok=True)
    for row in range(int(rows)):
        Image.fromarray(images[row].reshape(28, 28)).save(Path(folder) / f"{row:03d}-{labels[row]}.png")


def blank(out: str, width: str, height: str, mode: str) -> None:
    """An image that is none of a digit."""
    from PIL import Image

    colour: Any = (200, 10, 10) if mode == "RGB" else 7
    Image.new(mode, (int(width), int(height)), colour).save(out)


if __name__ == "__main__":
    {"write": write, "same": same, "png": png, "blank": blank}[sys.argv[1]](*sys.argv[2:])
