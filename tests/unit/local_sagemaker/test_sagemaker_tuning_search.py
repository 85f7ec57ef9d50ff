"""What a tuning job tries: within its ranges, repeatable, better with what it knows; and when it stops."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.local.sagemaker.tuning_search import Resource, Search
from pipeline.local.sagemaker.tuning_space import combinations, parameters
from pipeline.local.sagemaker.tuning_stopping import below_the_median, enough, not_improving

RANGES: dict[str, Any] = {
    "ContinuousParameterRanges": [
        {"Name": "rate", "MinValue": "0.0001", "MaxValue": "1.0", "ScalingType": "Logarithmic"},
        {"Name": "momentum", "MinValue": "0.5", "MaxValue": "0.999", "ScalingType": "ReverseLogarithmic"},
    ],
    "IntegerParameterRanges": [{"Name": "depth", "MinValue": "2", "MaxValue": "9"}],
    "CategoricalParameterRanges": [{"Name": "kind", "Values": ["plain", "fancy"]}],
}
SPACE = parameters(RANGES)


def score(values: dict[str, str]) -> float:
    """Best (0) at rate 0.02, depth 6, kind plain, momentum 0.9."""
    return -(
        (math.log10(float(values["rate"])) - math.log10(0.02)) ** 2
        + (int(values["depth"]) - 6) ** 2 / 20
        + (values["kind"] == "fancy") * 0.3
        + abs(float(values["momentum"]) - 0.9)
    )


def search(strategy: str, jobs: int, seed: int, of: Callable[[dict[str, str]], float] = score) -> list[float]:
    made = Search(strategy, SPACE, maximize=True, jobs=jobs, seed=seed)
    found = []
    for _ in range(jobs):
        suggestion = made.ask()
        assert suggestion is not None
        found.append(of(suggestion.values))
        made.tell(suggestion.number, found[-1])
    return found


def test_every_value_lies_within_its_range() -> None:
    for strategy in ("Random", "Bayesian"):
        made = Search(strategy, SPACE, maximize=True, jobs=40, seed=1)
        for _ in range(40):
            suggestion = made.ask()
            assert suggestion is not None
            values = suggestion.values
            assert 0.0001 <= float(values["rate"]) <= 1.0
            assert 0.5 <= float(values["momentum"]) <= 0.999
            assert values["depth"] in {str(depth) for depth in range(2, 10)}
            assert values["kind"] in {"plain", "fancy"}
            made.tell(suggestion.number, score(values))


def test_scaling_decides_where_values_fall() -> None:
    def median(scaling: str, low: str, high: str) -> float:
        given = {"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": scaling}
        made = Search("Random", parameters({"ContinuousParameterRanges": [given]}), maximize=True, seed=3)
        return statistics.median(float(made.ask().values["x"]) for _ in range(400))  # type: ignore[union-attr]

    assert median("Linear", "0.0001", "1.0") == pytest.approx(0.5, abs=0.1)
    assert median("Logarithmic", "0.0001", "1.0") == pytest.approx(0.01, rel=1)
    assert median("Auto", "0.0001", "1.0") == median("Logarithmic", "0.0001", "1.0")
    assert median("Auto", "0.1", "1.0") == median("Linear", "0.1", "1.0")
    assert median("ReverseLogarithmic", "0.0", "0.9999") == pytest.approx(0.99, abs=0.01)


def test_the_same_seed_tries_the_same() -> None:
    for strategy in ("Random", "Bayesian"):
        assert search(strategy, 12, seed=5) == search(strategy, 12, seed=5)
        assert search(strategy, 12, seed=5) != search(strategy, 12, seed=6)


def test_bayesian_learns_from_a_bad_start_and_beats_chance() -> None:
    runs = [search("Bayesian", 24, seed) for seed in range(12)]
    for run in runs:
        assert max(run) > max(run[:8]) - 1e-9
    assert statistics.fmean(max(run) for run in runs) > -0.25
    late = statistics.fmean(statistics.fmean(run[-8:]) for run in runs)
    early = statistics.fmean(statistics.fmean(run[:8]) for run in runs)
    assert late > early + 0.3
    chance = [search("Random", 24, seed) for seed in range(12)]
    assert late > statistics.fmean(statistics.fmean(run) for run in chance) + 0.3


def test_what_parents_found_is_used_from_the_first_job_on() -> None:
    def first(learned: bool) -> float:
        values = []
        for seed in range(12):
            made = Search("Bayesian", SPACE, maximize=True, jobs=10, seed=seed)
            if learned:
                parent = Search("Random", SPACE, maximize=True, jobs=30, seed=100 + seed)
                for _ in range(30):
                    tried = parent.ask()
                    assert tried is not None
                    assert made.learn(tried.values, score(tried.values))
            suggestion = made.ask()
            assert suggestion is not None
            values.append(score(suggestion.values))
        return statistics.fmean(values)

    assert first(learned=True) > first(learned=False) + 0.3


def test_what_lies_outside_of_the_ranges_is_not_learned() -> None:
    made = Search("Bayesian", SPACE, maximize=True, jobs=10, seed=1)
    good = {"rate": "0.1", "momentum": "0.9", "depth": "4", "kind": "plain", "other": "1"}
    assert made.learn(good, 1.0)
    for name, value in (("rate", "2.0"), ("depth", "3.5"), ("kind", "other"), ("momentum", "much")):
        assert not made.learn(good | {name: value}, 1.0)
    del good["kind"]
    assert not made.learn(good, 1.0)


def test_hyperband_spends_its_epochs_on_the_good() -> None:
    made = Search("Hyperband", SPACE, maximize=True, jobs=24, seed=2, resource=Resource(1, 9))
    stopped: list[float] = []
    finished: list[float] = []
    epochs = 0
    for _ in range(24):
        suggestion = made.ask()
        assert suggestion is not None
        final = score(suggestion.values)
        weak = False
        for epoch in range(1, 10):
            epochs += 1
            if made.report(suggestion.number, final - 1 / epoch, epoch):
                weak = True
                break
        assert not (weak and epoch == 9), "the last epoch is not stopped: the model would be lost"
        made.tell(suggestion.number, final - 1 / epoch, stopped=weak)
        (stopped if weak else finished).append(final)
    assert len(stopped) >= 8
    assert epochs < 24 * 9 * 0.7
    assert max(finished) > max(stopped)
    assert statistics.fmean(finished) > statistics.fmean(stopped)


def test_hyperband_stops_nobody_before_its_least_resource() -> None:
    made = Search("Hyperband", SPACE, maximize=True, jobs=24, seed=2, resource=Resource(4, 9))
    for _ in range(24):
        suggestion = made.ask()
        assert suggestion is not None
        final = score(suggestion.values)
        assert not any(made.report(suggestion.number, final, epoch) for epoch in range(1, 4))
        made.tell(suggestion.number, final, stopped=True)


def test_nothing_is_tried_twice_and_a_finite_space_ends() -> None:
    ranges = {
        "CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b", "c"]}],
        "IntegerParameterRanges": [{"Name": "depth", "MinValue": "2", "MaxValue": "5"}],
    }
    space = parameters(ranges)
    assert combinations(space) == 12
    assert combinations(SPACE) == math.inf
    for strategy in ("Random", "Bayesian"):
        made = Search(strategy, space, maximize=False, jobs=12, seed=1)
        seen = set()
        while (suggestion := made.ask()) is not None:
            seen.add((suggestion.values["kind"], suggestion.values["depth"]))
            made.tell(suggestion.number, 1.0)
        assert len(seen) == 12


def test_a_grid_is_tried_in_its_order() -> None:
    ranges = {
        "CategoricalParameterRanges": [
            {"Name": "a", "Values": ["1", "2"]},
            {"Name": "b", "Values": ["x", "y"]},
        ]
    }
    made = Search("Grid", parameters(ranges), maximize=True)
    seen = []
    while (suggestion := made.ask()) is not None:
        seen.append((suggestion.values["a"], suggestion.values["b"]))
    assert seen == [("1", "x"), ("1", "y"), ("2", "x"), ("2", "y")]


def test_a_job_is_stopped_below_the_median_of_running_averages() -> None:
    earlier = [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0], [5.0, 6.0, 7.0]]
    # Up to the second epoch their averages are 1.5, 3.5 and 5.5.
    assert below_the_median([9.0, 3.4], earlier, maximize=True)
    assert not below_the_median([0.0, 3.5], earlier, maximize=True)
    assert below_the_median([0.0, 3.6], earlier, maximize=False)
    assert not below_the_median([-9.0], [], maximize=True)
    assert not below_the_median([9.0, 9.0, 9.0, -9.0], earlier, maximize=True), "none came so far"


def test_completion_criteria() -> None:
    assert not_improving([1.0, 1.005, 1.2, 1.2, 1.21], maximize=True) == 2
    assert not_improving([0.5, 0.4], maximize=False) == 0
    assert enough({"TargetObjectiveMetricValue": 0.9}, [0.5, 0.9], maximize=True)
    assert not enough({"TargetObjectiveMetricValue": 0.9}, [0.95, 0.91], maximize=False)
    assert enough({"TargetObjectiveMetricValue": 0.3}, [0.5, 0.2], maximize=False)
    three = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    assert enough(three, [1.0, 1.0, 1.0, 1.0], maximize=True)
    assert not enough(three, [1.0, 1.0, 1.0, 2.0], maximize=True)
    assert not enough({}, [1.0] * 50, maximize=True)


def test_the_server_does_not_pay_for_the_sampler() -> None:
    code = (
        "import sys; from pipeline.local.sagemaker import service; service.load(); "
        "print('optuna' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
