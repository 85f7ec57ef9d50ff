"""What a tuning job tries next: random, Bayesian (a tree-structured Parzen estimator), Hyperband or a grid.

Optuna does the sampling and Hyperband's brackets. It is imported when the first search begins (0.3 s), so
that the server's start does not pay it. One thread uses a search.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.local.sagemaker.tuning_space import Parameter, combinations

# Values are drawn again this often to find one that was not tried, before those left are listed.
_DRAWS = 20
# Hyperband keeps one in so many at each rung (Li et al., 2018; optuna's own default is 3 as well).
_REDUCTION = 3
# A Bayesian search begins with random jobs: a third of them, within these.
_FEWEST_RANDOM, _MOST_RANDOM = 3, 10


@dataclass(frozen=True)
class Suggestion:
    """One job to run: its number in the search, and its tuned hyperparameters."""

    number: int
    values: dict[str, str]


@dataclass(frozen=True)
class Resource:
    """How many values of the objective a job must, and may, report under Hyperband."""

    least: int
    most: int


class Search:
    """A search over a space.

    Args:
        strategy: the API's Strategy.
        maximize: the objective's Type is Maximize.
        jobs: how many will be asked for, as far as that is known.
        seed: the same seed and the same answers give the same suggestions.
        resource: of Hyperband.
    """

    def __init__(
        self,
        strategy: str,
        space: Sequence[Parameter],
        *,
        maximize: bool,
        jobs: int = 0,
        seed: int | None = None,
        resource: Resource | None = None,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = list(space)
        self._optuna = optuna
        self._finite = combinations(self._space) < float("inf")
        self._tried: set[tuple[str, ...]] = set()
        self._random = random.Random(seed)
        self._left: list[tuple[str, ...]] | None = None
        self._grid = strategy == "Grid"
        self._distributions = {each.name: self._distribution(each) for each in self._space}
        if strategy in ("Random", "Grid"):
            sampler: Any = optuna.samplers.RandomSampler(seed=seed)
        else:
            begin = min(_MOST_RANDOM, max(_FEWEST_RANDOM, jobs // 3)) if jobs else _MOST_RANDOM
            sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=begin)
        pruner: Any = optuna.pruners.NopPruner()
        if resource is not None:
            pruner = optuna.pruners.HyperbandPruner(
                min_resource=resource.least, max_resource=resource.most, reduction_factor=_REDUCTION
            )
        self._study = optuna.create_study(
            # Hyperband draws a job's bracket from the study's name, so one name for all repeats.
            study_name="tuning",
            direction="maximize" if maximize else "minimize",
            sampler=sampler,
            pruner=pruner,
        )
        self._trials: dict[int, Any] = {}
        self._most = resource.most if resource else 0

    def ask(self) -> Suggestion | None:
        """What to try next, never the same twice; None when everything was tried."""
        if self._finite and len(self._tried) >= combinations(self._space):
            return None
        for _ in range(0 if self._grid else _DRAWS):
            trial = self._study.ask(self._distributions)
            values = {each.name: self._outside(each, trial.params[each.name]) for each in self._space}
            if self._is_new(values):
                return self._took(trial, values)
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        values = self._untried()
        self._study.enqueue_trial({each.name: self._inside(each, values[each.name]) for each in self._space})
        return self._took(self._study.ask(self._distributions), values)

    def report(self, number: int, value: float, count: int) -> bool:
        """A job's `count`-th value of the objective; whether Hyperband would stop it now."""
        trial = self._trials[number]
        trial.report(value, count)
        # With its last value a job has finished its training: stopping it would save nothing, and lose it.
        return count < self._most and bool(trial.should_prune())

    def tell(self, number: int, value: float | None, *, stopped: bool = False) -> None:
        """A job's last value of the objective; None when it has none.

        Args:
            stopped: by Hyperband, so that its value is none of a whole training.
        """
        states = self._optuna.trial.TrialState
        trial = self._trials.pop(number)
        if value is None:
            self._study.tell(trial, state=states.FAIL)
        elif stopped:
            self._study.tell(trial, state=states.PRUNED)
        else:
            self._study.tell(trial, value)

    def learn(self, values: Mapping[str, str], objective: float) -> bool:
        """What an earlier tuning job found; False when it is outside of this one's ranges."""
        inside = {}
        for each in self._space:
            read = each.read(values.get(each.name, ""))
            if read is None:
                return False
            inside[each.name] = self._inside(each, values[each.name])
        created = self._optuna.trial.create_trial(
            params=inside, distributions=self._distributions, value=objective
        )
        self._study.add_trial(created)
        return True

    # -- values as the sampler has them ---------------------------------------------------------------

    def _distribution(self, each: Parameter) -> Any:
        kinds = self._optuna.distributions
        if each.kind == "Categorical":
            return kinds.CategoricalDistribution(each.values)
        log = each.scaling != "Linear"
        if each.kind == "Integer":
            return kinds.IntDistribution(int(each.low), int(each.high), log=log)
        if each.scaling == "ReverseLogarithmic":
            return kinds.FloatDistribution(1.0 - each.high, 1.0 - each.low, log=True)
        return kinds.FloatDistribution(each.low, each.high, log=log)

    @staticmethod
    def _outside(each: Parameter, value: Any) -> str:
        if each.kind == "Continuous" and each.scaling == "ReverseLogarithmic":
            value = min(each.high, max(each.low, 1.0 - value))
        return each.text(value)

    @staticmethod
    def _inside(each: Parameter, text: str) -> Any:
        value = each.read(text)
        if each.kind == "Continuous" and each.scaling == "ReverseLogarithmic":
            assert isinstance(value, float)
            return min(1.0 - each.low, max(1.0 - each.high, 1.0 - value))
        return value

    # -- nothing twice -----------------------------------------------------------------------------------

    def _is_new(self, values: dict[str, str]) -> bool:
        return not self._finite or tuple(values[each.name] for each in self._space) not in self._tried

    def _took(self, trial: Any, values: dict[str, str]) -> Suggestion:
        self._trials[trial.number] = trial
        self._tried.add(tuple(values[each.name] for each in self._space))
        return Suggestion(trial.number, values)

    def _untried(self) -> dict[str, str]:
        if self._left is None:
            choices = [
                each.values
                if each.kind == "Categorical"
                else [str(value) for value in range(int(each.low), int(each.high) + 1)]
                for each in self._space
            ]
            self._left = list(itertools.product(*choices))
            if not self._grid:
                self._random.shuffle(self._left)
            self._left.reverse()
        while True:
            values = self._left.pop()
            if values not in self._tried:
                return {each.name: value for each, value in zip(self._space, values, strict=True)}
