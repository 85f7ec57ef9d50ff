"""The epochs: metrics told, the best kept, checkpoints, early stopping; then the model is written."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from script_mode import Folders, ProgramError, StopFlag, threads, write_atomically

from . import CLASSES, PIXELS, checkpoint, model, network
from .data import Channel, open_channel
from .model import Layer

# Of float32 sums in another order; a wrong layer is off by far more.
_SAME = 1e-4


def fit(values: Mapping[str, Any], folders: Mapping[str, Path | None], stop: StopFlag) -> None:
    """Train by the hyperparameters `values`; folders: model_dir, train, validation, checkpoints.

    Raises ProgramError, or Stopped after SIGTERM with the last epoch's checkpoint kept.
    """
    for name, folder in folders.items():
        if folder is None:
            raise ProgramError(f"no folder was given as --{name} (nor by its SM_ variable)")
    known = {name: folder for name, folder in folders.items() if folder is not None}
    hosts = Folders.from_environment().read_config("resourceconfig.json").get("hosts", [])
    if len(hosts) > 1:
        raise ProgramError(f"{len(hosts)} instances were given; this program trains on one")
    training = open_channel(known["train"], "train")
    validation = open_channel(known["validation"], "validation")
    if training.scale != validation.scale:
        both = f"train by {training.scale:g}, validation by {validation.scale:g}"
        raise ProgramError(f"the channels were normalised by different scales: {both}")
    absent = [name for name, count in training.class_counts().items() if not count]
    if absent:
        raise ProgramError(f"channel 'train' has no row of {', '.join(absent)}")
    print(f"rows: train {training.rows}, validation {validation.rows}; scale {training.scale:g}", flush=True)

    epochs = Epochs(values, training, validation, known["checkpoints"], stop)
    best = epochs.run()
    described = metadata(values, training, validation, epochs)
    _check_copy(model.Model(best, training.scale, described), validation, epochs)
    model.save(known["model_dir"], best, described)
    print(f"model: {known['model_dir'] / model.WEIGHTS_FILE}, epoch {epochs.best_epoch}", flush=True)


class Epochs:
    """The epochs of one training: `run` goes through them, from the checkpoint if there is one."""

    def __init__(
        self,
        values: Mapping[str, Any],
        training: Channel,
        validation: Channel,
        folder: Path,
        stop: StopFlag,
    ) -> None:
        self.values, self.training, self.validation = values, training, validation
        self.folder, self.stop = folder, stop
        self.done = self.best_epoch = 0
        self.best_loss = math.inf
        self.metrics: dict[str, float] = {}
        self.fingerprint = checkpoint.fingerprint(values, training.content, validation.content)

    def run(self) -> list[Layer]:
        """Train to the end; the best epoch's layers, whose metrics are told once more, last."""
        count = threads()
        network.prepare(count, self.values["seed"])
        found, why = checkpoint.load(self.folder, self.fingerprint)
        print(f"threads: {count}; resume: {why}", flush=True)
        net = network.build(self.values["learning_rate"], self.values["l2"])
        best = network.layers(net)
        if found:
            net = network.load(self.folder / found.state)
            best = _best(self.folder / found.best)
            self.done, self.best_epoch, self.best_loss = found.epochs, found.best_epoch, found.best_loss
            self.metrics = found.metrics
        held = network.dataset(self.validation, 1024)
        while self.done < self.values["epochs"] and not self._is_exhausted():
            metrics = self._epoch(net, held)
            if not all(map(math.isfinite, metrics.values())):
                raise ProgramError(
                    f"epoch {self.done}: the loss is not finite any more; "
                    f"a lower learning_rate than {self.values['learning_rate']:g} may help"
                )
            if metrics["validation_log_loss"] < self.best_loss:
                self.best_epoch, self.best_loss = self.done, metrics["validation_log_loss"]
                self.metrics = metrics
                best = network.layers(net)
            self._save(net, best)
            self.stop.check()
        if self.done < self.values["epochs"]:
            print(f"early stop: no better epoch since {self.best_epoch}", flush=True)
        # SageMaker keeps a metric's last value as the final one: it must be the model's that is kept.
        _tell(self.best_epoch, self.metrics)
        return best

    def _epoch(self, net: Any, held: Any) -> dict[str, float]:
        """One epoch and its metrics. Raises Stopped between two batches: the epoch is then done anew."""
        order = (self.values["seed"], self.done, self.values["shuffle_rows"])
        rows = network.dataset(self.training, self.values["batch_size"], order)
        history = net.fit(
            rows,
            validation_data=held,
            shuffle=False,  # by Keras: the data set is shuffled already
            verbose=0,
            callbacks=[network.after_batch(self.stop.check)],
        ).history
        self.done += 1
        metrics = {
            f"{data}_{name}": float(history[f"{prefix}{name}"][-1])
            for data, prefix in (("train", ""), ("validation", "val_"))
            for name in network.METRICS
        }
        _tell(self.done, metrics)
        return metrics

    def _is_exhausted(self) -> bool:
        patience = self.values["patience"]
        return patience > 0 and self.done - self.best_epoch >= patience

    def _save(self, net: Any, best: list[Layer]) -> None:
        """Keep this epoch: the network with its optimiser, and the best layers so far."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state, kept = f"state-{self.done}.keras", f"best-{self.best_epoch}.npz"
        net.save(self.folder / state)
        if not (self.folder / kept).is_file():
            write_atomically(self.folder / kept, model.packed(best))
        progress = checkpoint.Progress(
            self.fingerprint, self.done, self.best_epoch, self.best_loss, self.metrics, state, kept
        )
        checkpoint.save(self.folder, progress)


def _best(path: Path) -> list[Layer]:
    try:
        return model.unpacked(path)
    except model.UNREADABLE as error:
        raise ProgramError(f"{path} cannot be read: {type(error).__name__}: {error}") from error


def _tell(epoch: int, metrics: Mapping[str, float]) -> None:
    """One line that the metric definitions read: `name=value; ` for each metric."""
    line = "".join(f"{name}={value:.6f}; " for name, value in metrics.items())
    print(f"epoch={epoch}; {line}", flush=True)


def _check_copy(copy: model.Model, validation: Channel, epochs: Epochs) -> None:
    """What is served must be what was trained: the copy's loss on the validation data is the network's."""
    total, rows = 0.0, 0
    for images, labels in validation.batches():
        probabilities = copy.probabilities(images)[np.arange(len(labels)), labels]
        total -= float(np.log(np.clip(probabilities, 1e-7, 1)).sum())
        rows += len(labels)
    if not abs(total / rows - epochs.best_loss) <= _SAME * max(1, epochs.best_loss):
        raise ProgramError(
            f"the layers' loss on the validation data is {total / rows:.6f} outside TensorFlow, "
            f"and {epochs.best_loss:.6f} within it"
        )


def metadata(
    values: Mapping[str, Any], training: Channel, validation: Channel, epochs: Epochs
) -> dict[str, Any]:
    """What a reader of the model must know: classes, scale, settings, data, metrics, versions."""
    return {
        "classes": list(CLASSES),
        "pixels": PIXELS,
        "scale": training.scale,
        "hidden": list(network.HIDDEN),
        "hyperparameters": dict(values),
        "best_epoch": epochs.best_epoch,
        "metrics": epochs.metrics,
        "rows": {"train": training.class_counts(), "validation": validation.class_counts()},
        # Evaluation refuses to test on a file that training has seen.
        "data_sha256": {**training.digests, **validation.digests},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("tensorflow-cpu", "keras", "numpy")},
        },
    }
