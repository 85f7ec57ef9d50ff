"""What can be wrong with a model, as an error that serving and evaluation share."""

from __future__ import annotations


class BadModel(Exception):
    """The model's files cannot be used; the text says which and why."""
