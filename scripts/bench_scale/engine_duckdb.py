# /// script
# requires-python = ">=3.11"
# dependencies = ["duckdb==2.0.0"]
# ///
"""The compared part in DuckDB: engine_duckdb.py INPUT OUTPUT THREADS MEMORY_MB."""

import sys

import duckdb
from part import SQL

source, target, threads, memory = sys.argv[1:]
connection = duckdb.connect()
connection.execute(
    f"set threads = {threads}; set memory_limit = '{memory}MB'; set temp_directory = '{target}.tmp'"
)
connection.execute("set preserve_insertion_order = false")
connection.execute(f"create view ratings as select * from read_parquet('{source}/*.parquet')")
connection.execute(f"copy ({SQL}) to '{target}' (format parquet, per_thread_output true)")
