"""Hyperparameters as arguments: SageMaker's strings on the way in, typed and checked on the way out."""

from __future__ import annotations

import argparse
import difflib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from .outcome import ProgramError

# SageMaker's own and the SDKs' entries beside the script's: https://github.com/aws/sagemaker-training-toolkit,
# params.py. A tuning job adds the last one.
_PREFIX, _OWN = "sagemaker_", ("default_user_module_name", "_tuning_objective_metric")


def for_script(given: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that are the script's, without quotes that an SDK put around them."""
    return {
        name: _plain(value)
        for name, value in given.items()
        if not name.startswith(_PREFIX) and name not in _OWN
    }


def command_line(hyperparameters: Mapping[str, Any]) -> list[str]:
    """`--name=value`, by name; so a value that begins with a dash is not taken for a name."""
    return [f"--{name}={value}" for name, value in sorted(hyperparameters.items())]


def _plain(raw: Any) -> str:
    text = (raw if isinstance(raw, str) else json.dumps(raw)).strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text


class Arguments(argparse.ArgumentParser):
    """argparse for hyperparameters: no abbreviations, and all that is wrong is told at once.

    Wrong arguments raise ProgramError, whose text becomes the job's FailureReason, one line for each.
    """

    def __init__(self, description: str) -> None:
        super().__init__(description=description, allow_abbrev=False)
        self._names: dict[str, Callable[[str], Any]] = {}

    def whole(self, name: str, default: int, low: int, high: int) -> None:
        """A whole number within [low, high]."""

        def parse(text: str) -> int:
            try:
                value = int(text)
            except ValueError:
                raise ValueError(f"{text!r} is not a whole number") from None
            if not low <= value <= high:
                raise ValueError(f"{value} is not within {low} to {high}")
            return value

        self._add(name, default, parse)

    def number(self, name: str, default: float, low: float, high: float, above: bool = False) -> None:
        """A finite number within [low, high], or (low, high] when `above`."""

        def parse(text: str) -> float:
            try:
                value = float(text)
            except ValueError:
                raise ValueError(f"{text!r} is not a number") from None
            if not math.isfinite(value) or not (low < value if above else low <= value) or value > high:
                raise ValueError(f"{text} is not {'above' if above else 'from'} {low:g} up to {high:g}")
            return value

        self._add(name, default, parse)

    def word(self, name: str, default: str, allowed: Sequence[str]) -> None:
        """One of a few words."""

        def parse(text: str) -> str:
            if text not in allowed:
                raise ValueError(f"{text!r} is not one of {', '.join(allowed)}")
            return text

        self._add(name, default, parse)

    def _add(self, name: str, default: Any, parse: Callable[[str], Any]) -> None:
        self._names[name] = parse
        # Kept as text here, so that one wrong value does not hide the next.
        self.add_argument(f"--{name}", default=str(default))

    def parse(self, given: Sequence[str] | None = None) -> argparse.Namespace:
        """The typed arguments. Raises ProgramError."""
        values, unknown = self.parse_known_args(given)
        problems = []
        for name in sorted({item.split("=")[0].lstrip("-") for item in unknown if item.startswith("-")}):
            close = difflib.get_close_matches(name, self._names, 1)
            known = ", ".join(sorted(self._names))
            hint = f"did you mean {close[0]}?" if close else f"known are {known}"
            problems.append(f"hyperparameter {name} is unknown; {hint}")
        for name, parse in sorted(self._names.items()):
            try:
                setattr(values, name, parse(getattr(values, name)))
            except ValueError as error:
                problems.append(f"hyperparameter {name}: {error}")
        if problems:
            raise ProgramError("\n".join(problems))
        return values

    def error(self, message: str) -> NoReturn:
        """Called by argparse for what cannot be read at all."""
        raise ProgramError(message)
