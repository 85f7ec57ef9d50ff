"""Trains the classifier: boosting rounds on `train`, stopped by `validation`; checkpointed, repeatable."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import version
from typing import Any

from . import CLASSES, FEATURES, checkpoint, params
from .contract import Folders, ProgramError, StopFlag, check_channels, run_program, threads, write_atomically
from .data import Table, class_counts, read

MODEL_FILE = "model.txt"
METADATA_FILE = "metadata.json"


def main() -> int:
    """Run as SageMaker runs it; return the exit code."""
    stop = StopFlag()
    stop.install()
    return run_program(lambda folders: train(folders, stop), lambda folders: folders.failure)


def train(folders: Folders, stop: StopFlag) -> None:
    """Read settings and data, train, write the model. Raises ProgramError, or Stopped after SIGTERM."""
    values = params.parse(folders.read_config("hyperparameters.json"))
    check_channels(folders, ("train", "validation"))
    training = read(folders.channel("train"), "train")
    validation = read(folders.channel("validation"), "validation")
    absent = [name for name, count in class_counts(training).items() if not count]
    if absent:
        raise ProgramError(f"channel 'train' has no row of {', '.join(absent)}")
    print(f"rows: train {len(training)} {class_counts(training)}, validation {len(validation)}", flush=True)

    rounds = Rounds(values, training, validation, folders, stop)
    booster = rounds.run()

    folders.model.mkdir(parents=True, exist_ok=True)
    booster.save_model(folders.model / MODEL_FILE, num_iteration=rounds.best_iteration)
    describe = metadata(values, training, validation, rounds)
    write_atomically(folders.model / METADATA_FILE, json.dumps(describe, indent=2, sort_keys=True) + "\n")
    print(f"model: {folders.model / MODEL_FILE}, {rounds.best_iteration} rounds", flush=True)


class Rounds:
    """The boosting rounds: prints metrics, keeps the best, checkpoints, stops early or on SIGTERM."""

    def __init__(
        self, values: dict[str, Any], training: Table, validation: Table, folders: Folders, stop: StopFlag
    ) -> None:
        self.values = values
        self.training = training
        self.validation = validation
        self.folder = folders.checkpoints
        self.stop = stop
        self.done = 0
        self.best_iteration = 0
        self.best_loss = float("inf")
        self.metrics: dict[str, float] = {}
        self.fingerprint = checkpoint.fingerprint(values, {**training.digests, **validation.digests})

    def run(self) -> Any:
        """Train to the end; return the booster. Its best round is `best_iteration`."""
        # Imported here: half a second that a wrong hyperparameter need not wait for.
        import lightgbm

        count = threads(len(self.training))
        lightgbm_params = params.for_lightgbm(self.values, count)
        features = list(FEATURES)
        training = lightgbm.Dataset(
            self.training.features, self.training.labels, feature_name=features, params=lightgbm_params
        )
        validation = training.create_valid(self.validation.features, self.validation.labels)

        found, why = checkpoint.load(self.folder, self.fingerprint)
        print(f"threads: {count}; resume: {why}", flush=True)
        start = None
        if found:
            start = lightgbm.Booster(model_str=found.model)
            self.done, self.best_iteration, self.best_loss = (
                found.iterations,
                found.best_iteration,
                found.best_loss,
            )
        left = self.values["num_boost_round"] - self.done
        if start is not None and (left <= 0 or self._is_exhausted()):
            booster = start
        else:
            booster = lightgbm.train(
                lightgbm_params,
                training,
                num_boost_round=left,
                valid_sets=[training, validation],
                valid_names=["train", "validation"],
                init_model=start,
                callbacks=[self._after_round],
            )
        self._measure(booster)
        return booster

    def _after_round(self, env: Any) -> None:
        """LightGBM calls this after each round; env.iteration counts from 0, resumed rounds included."""
        import lightgbm

        self.done = env.iteration + 1
        self._print(
            {
                name: value
                for data, metric, value, _ in env.evaluation_result_list
                for name in [f"{data}_{metric}"]
            }
        )
        loss = self.metrics["validation_multi_logloss"]
        if loss < self.best_loss:
            self.best_iteration, self.best_loss = self.done, loss
        last = self.done == self.values["num_boost_round"]
        if self.done % self.values["checkpoint_every"] == 0 or self.stop.is_set or last:
            checkpoint.save(
                self.folder,
                checkpoint.Checkpoint(
                    self.fingerprint,
                    self.done,
                    self.best_iteration,
                    self.best_loss,
                    # All rounds, not only the best so far: training goes on from here.
                    env.model.model_to_string(num_iteration=-1),
                ),
            )
        self.stop.check()
        if self._is_exhausted():
            print(f"early stop: no better round since {self.best_iteration}", flush=True)
            raise lightgbm.callback.EarlyStopException(self.best_iteration - 1, env.evaluation_result_list)

    def _is_exhausted(self) -> bool:
        patience = self.values["early_stopping_rounds"]
        return patience > 0 and self.done - self.best_iteration >= patience

    def _measure(self, booster: Any) -> None:
        """Print the best round's metrics last: SageMaker keeps a metric's last value as the final one."""
        import numpy as np

        final = {}
        for name, table in (("train", self.training), ("validation", self.validation)):
            probabilities = booster.predict(table.features, num_iteration=self.best_iteration)
            of_class = probabilities[np.arange(len(table)), table.labels]
            final[f"{name}_multi_logloss"] = float(-np.log(np.clip(of_class, 1e-15, 1)).mean())
            final[f"{name}_multi_error"] = float((probabilities.argmax(axis=1) != table.labels).mean())
        self.done = self.best_iteration
        self._print(final)

    def _print(self, results: dict[str, float]) -> None:
        """One line that the metric definitions read: `name=value; ` for each metric."""
        self.metrics = {}
        for data in ("train", "validation"):
            self.metrics[f"{data}_multi_logloss"] = results[f"{data}_multi_logloss"]
            self.metrics[f"{data}_accuracy"] = 1 - results[f"{data}_multi_error"]
        line = "".join(f"{name}={value:.6f}; " for name, value in self.metrics.items())
        print(f"round={self.done}; {line}", flush=True)


def metadata(values: dict[str, Any], training: Table, validation: Table, rounds: Rounds) -> dict[str, Any]:
    """What a reader of the model must know: classes, features, settings, data, metrics, versions."""
    return {
        "classes": list(CLASSES),
        "features": list(FEATURES),
        "hyperparameters": values,
        "best_iteration": rounds.best_iteration,
        "metrics": rounds.metrics,
        "rows": {"train": class_counts(training), "validation": class_counts(validation)},
        # Evaluation refuses to test on a file that training has seen.
        "data_sha256": {**training.digests, **validation.digests},
        "versions": {
            "python": platform.python_version(),
            "implementation": sys.implementation.name,
            "lightgbm": version("lightgbm"),
            "numpy": version("numpy"),
        },
    }
