"""What is impossible about a built-in algorithm, as far as the settings can tell: before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline import algorithms
from pipeline.settings.toml_file import Key

Problem = tuple[Key, str, str]


def algorithm_problems(pipeline: dict[str, Any]) -> Iterator[Problem]:
    """Problems of `[algorithm]`, and of all that it decides, in one pipeline's merged table."""
    algorithm = pipeline.get("algorithm")
    name = algorithm.get("name") if isinstance(algorithm, dict) else None
    if not isinstance(algorithm, dict) or not isinstance(name, str):
        return
    if name not in algorithms.carried():
        yield (
            ("algorithm", "name"),
            f"the built-in algorithm {name!r} is not carried",
            f"carried: {algorithms.listed()}; any other trains in a container of your own (drop [algorithm])",
        )
        return
    facts = algorithms.carried()[name]
    version = algorithm.get("version", "3.0-5")
    if isinstance(version, str) and version not in facts["versions"]:
        yield (
            ("algorithm", "version"),
            f"{name} {version} is not carried",
            f"carried: {', '.join(facts['versions'])}",
        )
    if pipeline.get("metrics"):
        known = ", ".join(algorithms.metrics(name)[:8])
        yield (
            ("metrics",),
            f"{name} brings its own metrics, and SageMaker refuses others beside them",
            f"drop [[metrics]]; it has {known}, ...",
        )
    channels = _table(pipeline.get("data")).get("channels")
    yield from _channels(name, facts, _table(channels))
    yield from _hyperparameters(name, pipeline, _table(channels))


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _channels(name: str, facts: dict[str, Any], channels: dict[str, Any]) -> Iterator[Problem]:
    training = {
        key: channel
        for key, channel in channels.items()
        if isinstance(channel, dict) and channel.get("use", "train") == "train"
    }
    known = [*facts["required_channels"], *facts["optional_channels"]]
    for key in facts["required_channels"]:
        if channels and key not in training:
            yield ("data", "channels"), f"{name} trains on a channel {key!r}", f"add [data.channels.{key}]"
    for key, channel in training.items():
        if key not in known:
            yield (
                ("data", "channels", key),
                f"{name} knows no channel {key!r}",
                f"it has {' and '.join(known)}; give other data another use",
            )
        content_type = channel.get("content_type", "text/csv")
        plain = content_type.partition(";")[0].strip().lower() if isinstance(content_type, str) else ""
        if plain and plain not in facts["content_types"]:
            yield (
                ("data", "channels", key, "content_type"),
                f"{name} does not read {content_type}",
                f"it reads {', '.join(facts['content_types'])}",
            )


def _hyperparameters(name: str, pipeline: dict[str, Any], channels: dict[str, Any]) -> Iterator[Problem]:
    given = {k: algorithms.as_text(v) for k, v in _table(pipeline.get("hyperparameters")).items()}
    for key, what, hint in algorithms.problems(name, given):
        yield ("hyperparameters", key) if key else ("hyperparameters",), what, hint
    tuning = pipeline.get("tuning")
    if "early_stopping_rounds" in given and not isinstance(tuning, dict):
        # AWS's image stays silent about it, and trains to the end.
        if not algorithms.stops_early(given):
            yield (
                ("hyperparameters", "early_stopping_rounds"),
                f"{name} stops early only by an eval_metric, and there is none",
                "add eval_metric, such as rmse",
            )
        if channels and "validation" not in channels:
            yield (
                ("hyperparameters", "early_stopping_rounds"),
                f"{name} stops early only by a channel 'validation', and there is none",
                "add [data.channels.validation]",
            )
    for key, found in _table(_table(tuning).get("ranges")).items():
        for end, value in _ends(found):
            for what, hint in algorithms.value_problems(name, key, algorithms.as_text(value)):
                yield ("tuning", "ranges", key, *end), what, hint


def _ends(found: Any) -> Iterator[tuple[Key, Any]]:
    table = _table(found)
    for end in ("min", "max"):
        if end in table:
            yield (end,), table[end]
    values = table.get("values")
    for value in values if isinstance(values, list) else []:
        yield ("values",), value
