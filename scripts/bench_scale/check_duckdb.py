# /// script
# requires-python = ">=3.11"
# dependencies = ["duckdb==2.0.0"]
# ///
"""Prints what proves that outputs are the same: check_duckdb.py OUTPUT."""

import sys

import duckdb
from part import CHECK

print(duckdb.sql(f"{CHECK} from read_parquet('{sys.argv[1]}/*.parquet')").fetchall()[0])
