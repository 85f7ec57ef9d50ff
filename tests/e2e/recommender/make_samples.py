"""Makes the recommender's five channels as Parquet, with a taste to learn; run in the container's venv.

python make_samples.py FOLDER ROWS [SEED]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from recommender_program import GENRES, RATED
from recommender_program.encoding import GENRE_SLOTS, NUMBERS

USERS, MOVIES = 50, 80


def samples(rows: int, dice: np.random.Generator) -> pa.Table:
    """Users like movies of a high average; everything else is noise."""
    average = dice.uniform(1, 5, rows)
    columns = {
        "userId": dice.integers(1, USERS, rows),
        "movieId": dice.integers(1, MOVIES, rows),
        "label": (average + dice.standard_normal(rows) > 3).astype(np.int32),
        **{name: pa.array(dice.integers(1, MOVIES, rows), mask=dice.random(rows) < 0.2) for name in RATED},
        **{name: pa.array(dice.choice(GENRES, rows), mask=dice.random(rows) < 0.3) for name in GENRE_SLOTS},
        **{name: dice.uniform(1, 5, rows) for name in NUMBERS},
        "movieAvgRating": pa.array(average, mask=dice.random(rows) < 0.02),
        "releaseYear": dice.integers(1930, 1999, rows),
    }
    return pa.table(columns)


def write(table: pa.Table, folder: Path, files: int = 1) -> None:
    folder.mkdir(parents=True)
    size = -(-len(table) // files)
    for at in range(files):
        part = table.slice(at * size, size)
        pq.write_table(part, folder / f"part-{at:05}.parquet", row_group_size=20_000)


def main() -> None:
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    dice = np.random.default_rng(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    for name, share, files in (("train", 1.0, 2), ("validation", 0.2, 1), ("test", 0.2, 1)):
        write(samples(int(rows * share), dice), folder / name, files)
    table = samples(MOVIES, dice)
    users = table.slice(0, USERS - 1).set_column(0, "userId", pa.array(range(1, USERS)))
    write(users, folder / "users")
    movies = table.slice(0, MOVIES - 1).set_column(1, "movieId", pa.array(range(1, MOVIES)))
    write(movies.append_column("movieLikes", pa.array(range(MOVIES - 1))), folder / "catalogue")
    vectors = pa.array(
        dice.standard_normal((MOVIES - 1, 10)).astype(np.float32).tolist(), pa.list_(pa.float32())
    )
    write(pa.table({"movieId": list(range(1, MOVIES)), "vector": vectors}), folder / "embeddings")


if __name__ == "__main__":
    main()
