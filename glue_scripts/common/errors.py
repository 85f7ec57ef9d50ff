"""What ends a run because its input or its script is wrong; the text is the run's ErrorMessage."""

from __future__ import annotations


class InputError(ValueError):
    """What was given cannot be read as what it should be; the text names the object."""


class ScriptError(RuntimeError):
    """The script uses the library in a way that cannot work; the text says which call."""
