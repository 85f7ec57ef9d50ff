"""Hyperparameters of `train`: names, ranges and defaults, checked all at once.

SageMaker hands every value over as a string (hyperparameters.json); SDK estimators may have JSON-encoded it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import CLASSES
from .contract import ProgramError


@dataclass(frozen=True)
class Integer:
    """A whole number within [low, high]."""

    default: int
    low: int
    high: int

    def parse(self, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
        if not self.low <= value <= self.high:
            raise ValueError(f"{value} is not within {self.low} to {self.high}")
        return value


@dataclass(frozen=True)
class Number:
    """A finite number within [low, high], or (low, high] when `above`."""

    default: float
    low: float
    high: float
    above: bool = False

    def parse(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a number") from None
        # NaN fails both comparisons, so it ends here as well.
        if not (self.low < value if self.above else self.low <= value) or not value <= self.high:
            kind = "above" if self.above else "from"
            raise ValueError(f"{text} is not {kind} {self.low:g} up to {self.high:g}")
        return value


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    default: str
    allowed: tuple[str, ...]

    def parse(self, text: str) -> str:
        if text not in self.allowed:
            raise ValueError(f"{text!r} is not one of {', '.join(self.allowed)}")
        return text


SPECIFICATION: dict[str, Integer | Number | Choice] = {
    "objective": Choice("multiclass", ("multiclass", "multiclassova")),
    # Given in the original's settings, so accepted; iris has three classes and no other number fits.
    "num_class": Integer(len(CLASSES), len(CLASSES), len(CLASSES)),
    "max_leaf_nodes": Integer(31, 2, 131072),
    "max_depth": Integer(-1, -1, 64),
    "learning_rate": Number(0.1, 0, 1, above=True),
    "num_boost_round": Integer(100, 1, 100_000),
    "early_stopping_rounds": Integer(10, 0, 100_000),
    "min_data_in_leaf": Integer(20, 1, 1_000_000),
    "feature_fraction": Number(1.0, 0, 1, above=True),
    "bagging_fraction": Number(1.0, 0, 1, above=True),
    "bagging_freq": Integer(0, 0, 1_000_000),
    "lambda_l1": Number(0.0, 0, 1e6),
    "lambda_l2": Number(0.0, 0, 1e6),
    "seed": Integer(7, 0, 2**31 - 1),
    "checkpoint_every": Integer(25, 1, 100_000),
}

# The SDKs' and the tuner's own entries, which are not for the algorithm.
RESERVED: tuple[Callable[[str], bool], ...] = (
    lambda name: name.startswith("sagemaker_"),
    lambda name: name == "_tuning_objective_metric",
)


def parse(given: Mapping[str, Any]) -> dict[str, Any]:
    """Every hyperparameter with its typed value, defaults filled in.

    Raises ProgramError with one line for each unknown name and each value out of range.
    """
    values: dict[str, Any] = {name: kind.default for name, kind in SPECIFICATION.items()}
    problems = []
    for name, raw in sorted(given.items()):
        if any(reserved(name) for reserved in RESERVED):
            continue
        kind = SPECIFICATION.get(name)
        if kind is None:
            close = difflib.get_close_matches(name, SPECIFICATION, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(SPECIFICATION))}"
            problems.append(f"hyperparameter {name} is unknown; {hint}")
            continue
        try:
            values[name] = kind.parse(_text(raw))
        except ValueError as error:
            problems.append(f"hyperparameter {name}: {error}")
    if values["bagging_fraction"] < 1 and values["bagging_freq"] == 0:
        problems.append("hyperparameter bagging_fraction below 1 has no effect while bagging_freq is 0")
    if problems:
        raise ProgramError("\n".join(problems))
    return values


def _text(raw: Any) -> str:
    """The plain text of a value: as it is, or unwrapped when an SDK put it in JSON quotes."""
    text = raw if isinstance(raw, str) else json.dumps(raw)
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            text = str(json.loads(text))
        except ValueError:
            return text
    return text


def for_lightgbm(values: Mapping[str, Any], num_threads: int) -> dict[str, Any]:
    """LightGBM's parameters: deterministic, quiet, with the metrics that training prints."""
    own = {"max_leaf_nodes", "num_boost_round", "early_stopping_rounds", "checkpoint_every"}
    return {
        **{name: value for name, value in values.items() if name not in own},
        "num_leaves": values["max_leaf_nodes"],
        "metric": ["multi_logloss", "multi_error"],
        # The same data and parameters give the same trees on any number of threads.
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": num_threads,
        "verbosity": -1,
    }
