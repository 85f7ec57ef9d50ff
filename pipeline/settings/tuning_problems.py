"""What is impossible about a search for hyperparameters, as far as the settings can tell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pipeline import algorithms
from pipeline.settings.toml_file import Key

Problem = tuple[Key, str, str]

# Where Hyperband reads its longest run if nothing says it.
EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")


def tuning_problems(pipeline: dict[str, Any]) -> Iterator[Problem]:
    """Problems of `[tuning]` in one pipeline's merged table."""
    tuning = pipeline.get("tuning")
    if not isinstance(tuning, dict):
        return
    yield from _objective(tuning, _measured(pipeline))
    yield from _jobs(tuning)
    given = pipeline.get("hyperparameters")
    hyperparameters = given if isinstance(given, dict) else {}
    yield from _strategy(tuning, hyperparameters)
    ranges = tuning.get("ranges")
    for name, found in (ranges if isinstance(ranges, dict) else {}).items():
        if isinstance(found, dict):
            for key, what, hint in _range(found):
                yield ("tuning", "ranges", name, *key), what, hint
        if name not in hyperparameters:
            known = ", ".join(sorted(hyperparameters)) or "none"
            yield (
                ("tuning", "ranges", name),
                f"{name!r} is no hyperparameter of this pipeline",
                f"give it a value under [hyperparameters], which it has without tuning; known: {known}",
            )


def _measured(pipeline: dict[str, Any]) -> list[Any]:
    """Names of the metrics that SageMaker finds in the log: of [[metrics]], or a built-in algorithm's own."""
    algorithm = pipeline.get("algorithm")
    name = algorithm.get("name") if isinstance(algorithm, dict) else None
    if isinstance(name, str) and name in algorithms.carried():
        return algorithms.metrics(name)
    metrics = pipeline.get("metrics")
    return [m.get("name") for m in metrics if isinstance(m, dict)] if isinstance(metrics, list) else []


def _objective(tuning: dict[str, Any], defined: list[Any]) -> Iterator[Problem]:
    objective = tuning.get("objective")
    wanted = objective.get("metric") if isinstance(objective, dict) else None
    if isinstance(wanted, str) and wanted not in defined:
        known = ", ".join(str(name) for name in defined) or "none"
        yield (
            ("tuning", "objective", "metric"),
            f"{wanted!r} is not one of [[metrics]]: nothing would find it in the log",
            f"define it with its regex; known: {known}",
        )


def _jobs(tuning: dict[str, Any]) -> Iterator[Problem]:
    jobs, parallel = tuning.get("max_jobs", 10), tuning.get("max_parallel_jobs", 2)
    if isinstance(jobs, int) and isinstance(parallel, int) and parallel > jobs:
        yield (
            ("tuning", "max_parallel_jobs"),
            f"{parallel} at the same time, of {jobs} in all",
            f"set it to {jobs} or less, or max_jobs to {parallel} or more",
        )


def _strategy(tuning: dict[str, Any], hyperparameters: dict[str, Any]) -> Iterator[Problem]:
    strategy = tuning.get("strategy", "bayesian")
    hyperband = tuning.get("hyperband")
    if strategy == "hyperband":
        if tuning.get("early_stopping") is True:
            yield (
                ("tuning", "early_stopping"),
                "Hyperband stops jobs in its own way; SageMaker takes no other beside it",
                "drop early_stopping",
            )
        if hyperband is None and not any(name in hyperparameters for name in EPOCHS):
            yield (
                ("tuning", "hyperband"),
                "Hyperband must know how many epochs a whole training has",
                f"add [tuning.hyperband] max_resource = …, or a hyperparameter {' or '.join(EPOCHS)}",
            )
    elif hyperband is not None:
        yield ("tuning", "hyperband"), f'strategy = "{strategy}": it has no effect', "drop it"
    low, high = (
        (hyperband.get(k) for k in ("min_resource", "max_resource"))
        if isinstance(hyperband, dict)
        else (0, 0)
    )
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield ("tuning", "hyperband", "min_resource"), f"{low} is above max_resource = {high}", "swap them"
    ranges = tuning.get("ranges")
    if strategy == "grid":
        for name, found in (ranges if isinstance(ranges, dict) else {}).items():
            if isinstance(found, dict) and "values" not in found:
                yield (
                    ("tuning", "ranges", name),
                    "a grid knows only values = […]",
                    'write the values out, or take strategy = "random"',
                )
        if tuning.get("warm_start") is not None:
            yield ("tuning", "warm_start"), "a grid tries everything: nothing is to be learned", "drop it"


def _range(found: dict[str, Any]) -> Iterator[Problem]:
    ends = [key for key in ("min", "max") if key in found]
    if "values" in found:
        for key in [*ends, *(["scale"] if "scale" in found else [])]:
            yield (key,), f"values are given: {key} has no effect", "drop one of them"
        values = found["values"]
        if isinstance(values, list) and len({str(value) for value in values}) < len(values):
            yield ("values",), "a value is there twice", "drop one of them"
        return
    if len(ends) < 2:
        yield (), "a range needs min and max, or values", "such as { min = 0.001, max = 0.3 }"
        return
    low, high, scale = found["min"], found["max"], found.get("scale", "auto")
    if not (_number(low) and _number(high)):
        return
    if low >= high:
        yield ("min",), f"min {low:g} is not below max {high:g}", "swap them, or drop the range"
    elif scale == "logarithmic" and low <= 0:
        yield (
            ("scale",),
            f"a logarithm needs values above 0, and min is {low:g}",
            'raise min, or scale = "linear"',
        )
    elif scale == "reverse-logarithmic" and isinstance(low, int) and isinstance(high, int):
        yield ("scale",), "whole numbers have no reverse logarithm", 'scale = "linear" or "logarithmic"'
    elif scale == "reverse-logarithmic" and not 0 <= low < high < 1:
        yield ("scale",), f"it needs 0 <= x < 1, and the range is {low:g} to {high:g}", 'scale = "linear"'


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
