"""What is known of SageMaker's built-in algorithms that are carried: hyperparameters, metrics, images.

The facts are in algorithms.toml. Both files also lie in the local target's own image of each algorithm, hence
nothing but the standard library here.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Problem = tuple[str, str, str]
"""The hyperparameter ("" for all), what is wrong, what to do."""

_IMAGE = re.compile(r"^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.[a-z0-9.-]+/([a-z0-9._/-]+):([\w.-]+)$")


@functools.cache
def carried() -> dict[str, dict[str, Any]]:
    """Facts of each algorithm by its name in the SageMaker SDK."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def listed() -> str:
    """Those that are carried, for people: `xgboost (1.7-1, 3.0-5)`."""
    return "; ".join(f"{name} ({', '.join(facts['versions'])})" for name, facts in sorted(carried().items()))


def of_image(uri: str) -> tuple[str, str] | None:
    """Name and version of the algorithm whose image this is by repository and tag; None for another."""
    found = _IMAGE.match(uri)
    for name, facts in carried().items():
        if found and found[3] == facts["repository"] and found[4] in facts["versions"]:
            return name, found[4]
    return None


def repository(uri: str) -> tuple[str, str, str] | None:
    """Account, region and repository of an image that is named by tag; None for what is no such URI."""
    found = _IMAGE.match(uri)
    return (found[1], found[2], found[3]) if found else None


def metrics(name: str) -> list[str]:
    """Names of all metrics that SageMaker reads out of the algorithm's log."""
    return [definition["Name"] for definition in metric_definitions(name)]


def metric_definitions(name: str) -> list[dict[str, str]]:
    """MetricDefinitions as SageMaker adds them to a training job of the algorithm."""
    facts = carried()[name]
    wanted = [("train", metric) for metric in facts["train_metrics"]]
    wanted += [("validation", metric) for metric in sorted({*facts["maximize"], *facts["minimize"]})]
    regex = facts["metric_regex"]
    return [
        {
            "Name": f"{part}:{metric}",
            "Regex": regex.replace("{part}", part).replace("{metric}", re.escape(metric)),
        }
        for part, metric in wanted
    ]


def as_text(value: Any) -> str:
    """A hyperparameter as the job gets it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def canonical(name: str, given: Mapping[str, str]) -> dict[str, str]:
    """The hyperparameters by their own names: `learning_rate` is `eta`."""
    aliases = carried()[name]["aliases"]
    return {aliases.get(key, key): value for key, value in given.items()}


def problems(name: str, given: Mapping[str, str]) -> Iterator[Problem]:
    """What AWS's image would refuse of these hyperparameters, all of it."""
    facts = carried()[name]
    known, aliases = facts["hyperparameters"], facts["aliases"]
    for key, rule in known.items():
        if rule.get("required") and key not in canonical(name, given):
            yield "", f"the hyperparameter {key} is missing; {name} needs it", f"set it: {_allowed(rule)}"
    for key, text in given.items():
        own = aliases.get(key, key)
        if own not in known:
            near = difflib.get_close_matches(key, [*known, *aliases], n=1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(sorted(known))
            yield key, f"{name} knows no hyperparameter {key!r}", hint
            continue
        if own != key and own in given:
            yield key, f"is the same as {own}, which is given too", "drop one of them"
        for what, hint in value_problems(name, own, text):
            yield key, what, hint
    yield from _together(canonical(name, given))


def value_problems(name: str, key: str, text: str) -> Iterator[tuple[str, str]]:
    """What is wrong about one value: (what, what is allowed)."""
    facts = carried()[name]
    rule = facts["hyperparameters"].get(facts["aliases"].get(key, key))
    if rule is None:
        return
    kind, allowed = rule["type"], _allowed(rule)
    if kind in ("integer", "float"):
        number = _number(text, kind)
        if number is None:
            what = "no whole number" if kind == "integer" else "no number"
            yield f"{text!r} is {what}", f"allowed: {allowed}"
        elif not _within(number, rule):
            yield f"{text} is out of range", f"allowed: {allowed}"
    elif kind == "choice" and text not in rule["values"]:
        yield f"{text!r} is not allowed", f"allowed: {allowed}"
    elif kind == "list":
        for each in _split(text):
            if each not in rule["values"]:
                yield f"{each!r} is not allowed", f"allowed: {allowed}"
    elif kind == "metrics":
        for each in _split(text):
            yield from _metric_problems(facts, each)


def stops_early(given: Mapping[str, str]) -> bool:
    """Whether AWS's image heeds early_stopping_rounds: without a metric it trains to the end, silently."""
    return bool(given.get("eval_metric") or given.get("_tuning_objective_metric"))


def _metric_problems(facts: Mapping[str, Any], metric: str) -> Iterator[tuple[str, str]]:
    known = sorted({*facts["maximize"], *facts["minimize"]})
    base, at, threshold = metric.partition("@")
    if at:
        if base not in facts["thresholds"]:
            yield f"{metric!r}: only {', '.join(facts['thresholds'])} take a threshold", f"such as {base}"
        elif _number(threshold, "float") is None:
            yield f"{metric!r}: {threshold!r} is no number", f"such as {base}@0.7"
    elif metric not in known:
        yield f"{metric!r} is no metric", "allowed: " + ", ".join(known)


def _together(given: Mapping[str, str]) -> Iterator[Problem]:
    objective = given.get("objective", "")
    if objective in ("multi:softmax", "multi:softprob") and "num_class" not in given:
        yield "objective", f"{objective} needs num_class", "set num_class to the number of classes"
    measured = _split(given.get("eval_metric", ""))
    if "auc" in measured and not objective.startswith(("binary:", "rank:")):
        yield "eval_metric", "auc is of binary: and rank: objectives", "take another metric"
    if "aft-nloglik" in measured and objective != "survival:aft":
        yield "eval_metric", "aft-nloglik is of the objective survival:aft", "take another metric"
    method = given.get("tree_method")
    for key, methods in (
        ("monotone_constraints", ("exact", "hist")),
        ("interaction_constraints", ("exact", "hist", "approx")),
    ):
        if key in given and method not in methods:
            yield key, f"needs tree_method {' or '.join(methods)}", f'such as tree_method = "{methods[1]}"'


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(text: str, kind: str) -> float | None:
    try:
        number = int(text) if kind == "integer" else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _within(number: float, rule: Mapping[str, Any]) -> bool:
    return (
        number >= rule.get("min", -math.inf)
        and number <= rule.get("max", math.inf)
        and number > rule.get("above", -math.inf)
        and number < rule.get("below", math.inf)
    )


def _allowed(rule: Mapping[str, Any]) -> str:
    if "values" in rule:
        return ", ".join(rule["values"])
    words = {"min": "from {}", "above": "above {}", "max": "to {}", "below": "below {}"}
    what = "a whole number" if rule["type"] == "integer" else "a number"
    return " ".join([what, *(text.format(rule[key]) for key, text in words.items() if key in rule)])
