"""What iris' gate lets pass: champion and challengers trained on random splits of the sample's 150 rows.

Each round: 60 rows held out; the champion trains on 60 of the rest and validates on 30; each challenger does
so on another split of that rest. Lines of tab-separated cells come out. Runs in the container's environment.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from gate.comparison import Side, Terms, compare
from gate.report import Metric

DEFINITION = Path(__file__).resolve().parents[2] / "pipeline" / "definitions" / "iris"
SETTINGS = tomllib.loads((DEFINITION / "settings.toml").read_text())
ROUNDS = 1000
CHALLENGERS: dict[str, dict[str, Any]] = {
    "the same recipe": {},
    "2 leaves instead of 5": {"num_leaves": 2},
    "20 rounds instead of 100": {"num_iterations": 20},
    "10 rounds": {"num_iterations": 10},
    "5 rounds": {"num_iterations": 5},
    "1 round": {"num_iterations": 1},
    "30 rows in a leaf": {"min_data_in_leaf": 30},
}


def main() -> None:
    folders = ("train", "validation", "test")
    data = np.vstack([np.loadtxt(DEFINITION / "sample" / f / "iris.csv", delimiter=",") for f in folders])
    generator = np.random.default_rng(5)
    passed: dict[str, list[list[bool]]] = {name: [] for name in CHALLENGERS}
    for _ in range(ROUNDS):
        order = generator.permutation(len(data))
        held_out, rest = data[order[:60]], data[order[60:]]
        champion = outcomes(train(rest, {}), held_out)
        for name, changes in CHALLENGERS.items():
            ours = outcomes(train(generator.permutation(rest), changes), held_out)
            passed[name].append(judged(ours, champion))
    print("challenger", "its bounds", "accuracy beside the champion", "log_loss beside it", "all", sep="\t")
    for name, rows in passed.items():
        found = np.array(rows)
        cells = [*found.mean(axis=0), found.all(axis=1).mean()]
        print(name, *(f"{100 * cell:.1f} %" for cell in cells), sep="\t")


def train(rows: Any, changes: dict[str, Any]) -> Any:
    """A booster with iris' own hyperparameters but for the changes, stopped early as its program does."""
    given = SETTINGS["hyperparameters"]
    parameters = {
        "objective": "multiclass",
        "num_class": 3,
        "metric": "multi_logloss",
        "num_leaves": given["max_leaf_nodes"],
        "learning_rate": given["learning_rate"],
        "num_iterations": given["num_boost_round"],
        "seed": given["seed"],
        "deterministic": True,
        "num_threads": 1,
        "verbosity": -1,
        **changes,
    }
    training = lightgbm.Dataset(rows[:60, 1:], rows[:60, 0])
    validation = lightgbm.Dataset(rows[60:, 1:], rows[60:, 0], reference=training)
    stop = lightgbm.early_stopping(given["early_stopping_rounds"], verbose=False)
    rounds = parameters.pop("num_iterations")
    return lightgbm.train(parameters, training, rounds, valid_sets=[validation], callbacks=[stop])


def outcomes(booster: Any, rows: Any) -> dict[str, list[float]]:
    """By metric: the outcome of each row."""
    labels = rows[:, 0].astype(int)
    probabilities = booster.predict(rows[:, 1:])
    loss = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-15, 1))
    return {
        "accuracy": (probabilities.argmax(axis=1) == labels).astype(float).tolist(),
        "log_loss": loss.tolist(),
    }


def judged(ours: dict[str, list[float]], champion: dict[str, list[float]]) -> list[bool]:
    """Whether it is within its bounds, and how each metric compares."""
    bounds, compared = True, []
    for rule in SETTINGS["gate"]:
        name = rule["metric"]
        value = sum(ours[name]) / len(ours[name])
        bounds &= rule.get("minimum", value) <= value <= rule.get("maximum", value)
        better = "higher" if "minimum" in rule else "lower"
        terms = Terms(
            better, rule.get("margin", 0.0), confidence=SETTINGS["champion"]["confidence"], resamples=400
        )
        theirs = sum(champion[name]) / len(champion[name])
        sides = Side(Metric(value), ours[name]), Side(Metric(theirs), champion[name])
        compared.append(compare(terms, *sides)["passed"])
    return [bounds, *compared]


if __name__ == "__main__":
    main()
