"""What can be wrong: with a request, with the model, with the settings."""

from __future__ import annotations


class RequestError(Exception):
    """The request cannot be answered: an HTTP status (400 to 599) and a text for the caller."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class LoadError(Exception):
    """The model cannot be loaded; the text says why and ends in the log."""


class SettingsError(Exception):
    """The environment's variables are not valid; one line for each thing wrong."""
