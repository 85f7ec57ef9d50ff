"""Decides whether a run's data may be trained on; drift.py is that of glue_scripts/common."""
