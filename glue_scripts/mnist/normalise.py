"""Glue script: raw images to normalised ones, once, with the scale recorded in the data itself.

Reads   --RAWTRAIN_PATH, --RAWVALIDATION_PATH, --RAWTEST_PATH: CSV without a header, the digit
        and then 784 pixels from 0 to 255.
Writes  datasets train, validation and test: Parquet of `label` (byte) and `pixels` (784 floats), each pixel
        divided by --SCALE. Spark writes a column's metadata into every Parquet file: that of `pixels` holds
        the scale, so the data says itself what was done to it, wherever it goes.

Label and pixels stay in one row all the way; the pixels are one array column, since Spark plans hundreds of
columns slowly.
"""

from __future__ import annotations

import math

from common import job
from common.errors import ScriptError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

SPLITS = ("train", "validation", "test")
PIXELS = 784
# Images a file: training reads files in another order each epoch, and a few rows of each at a time.
ROWS_A_FILE = 100_000


def main() -> None:
    """Check every split's images, then write them normalised; nothing is written if one is over a limit."""
    glue = job.start(["SCALE"])
    scale = scale_of(glue["SCALE"])
    images = {}
    for split in SPLITS:
        channel = f"raw{split}"
        raw = glue.read_csv(
            channel, "label byte, pixels array<short>", header=False, arrays={"pixels": PIXELS}
        )
        images[split] = glue.check(raw, channel)
    if not glue.rejected:
        for split, frame in images.items():
            files = math.ceil(frame.count() / ROWS_A_FILE)
            glue.write(split, normalised(frame, scale), format="parquet", partitions=files)
    glue.finish()


def scale_of(text: str) -> float:
    """What each pixel is divided by. Raises ScriptError unless it is a number above 0."""
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not (math.isfinite(scale) and scale > 0):
        raise ScriptError(f"--SCALE {text}: a number above 0 is wanted, such as 255")
    return scale


def normalised(images: DataFrame, scale: float) -> DataFrame:
    """Each pixel as a float: the quotient in double precision, rounded once.

    That is the same float as a division in single precision gives, which is how serving divides: for
    quotients, twice and a bit the digits are enough that the second rounding never matters.
    """
    pixels = F.transform("pixels", lambda pixel: (pixel / F.lit(scale)).cast("float"))
    return images.select("label", pixels.alias("pixels", metadata={"scale": scale}))


if __name__ == "__main__":
    main()
