"""What the data that a transform reads must be like, before anything is trained on it."""

from __future__ import annotations

from pipeline.settings.base import Model


class Quality(Model):
    """Rules of data quality of one transform."""
