"""Glue on the local target: its API, and real Spark behind it."""
