# /// script
# requires-python = ">=3.11"
# dependencies = ["duckdb==2.0.0"]
# ///
"""Writes Parquet files of synthetic ratings: the same rows for the same number, whatever the machine.

    ratings_duckdb.py FOLDER ROWS

Users and films are as uneven as in MovieLens: a hundred ratings a user on average, some with thousands, and
whole sessions in one second, so that `strictly before` is something else than `the row before`.
"""

import sys
from pathlib import Path

import duckdb

FILE_ROWS = 5_000_000  # a file each, as an upload of a day's data would be

folder, rows = Path(sys.argv[1]), int(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
users, movies = max(rows // 100, 10), min(max(rows // 50, 10), 60_000)
connection = duckdb.connect()
connection.execute("set memory_limit = '2GB'; set threads = 2")
for number, start in enumerate(range(0, rows, FILE_ROWS)):
    end = min(start + FILE_ROWS, rows)
    connection.execute(f"""
        copy (
            select
                cast(floor({users} * pow((hash(i * 7 + 1) % 1000003) / 1000003.0, 2)) as int) as "userId",
                cast(floor({movies} * pow((hash(i * 7 + 2) % 1000003) / 1000003.0, 2)) as int) as "movieId",
                cast(1 + hash(i * 7 + 3) % 10 as double) / 2 as rating,
                cast(1500000000 + 60 * (hash(i * 7 + 4) % 2000000) as bigint) as "timestamp"
            from range({start}, {end}) as numbers(i)
        ) to '{folder}/part-{number:04}.parquet' (format parquet, compression snappy)""")
