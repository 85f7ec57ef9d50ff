"""The epochs of training: streamed batches, metrics on validation, checkpoints, the best epoch, an end."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from script_mode import ProgramError, StopFlag, threads

from . import checkpoint, metrics, network
from .bundle import FORMAT
from .checkpoint import Best, State
from .encoding import Inputs
from .samples import Channel, survey
from .scoring import Network

# Probabilities of the exported arrays and of Keras may differ by so much: rounding of float32.
PARITY = 1e-4
PARITY_ROWS = 4096


class Fit:
    """Trains; afterwards `survey`, `best` and `describe()` say what came of it."""

    def __init__(
        self, values: dict[str, Any], training: Channel, validation: Channel, folder: Path, stop: StopFlag
    ) -> None:
        self.values, self.training, self.validation = values, training, validation
        self.folder, self.stop = folder, stop
        self.digests = {**training.digests(), **validation.digests()}
        self.fingerprint = checkpoint.fingerprint(values, self.digests)
        self.survey = survey(training, *(values[f"{of}_buckets"] for of in ("user", "movie", "cross")))
        if self.survey.likes in (0, self.survey.rows):
            raise ProgramError("all rows of channel 'train' have the same label; there is nothing to learn")
        self.best = Best(0, float("inf"), {})
        self.best_weights: network.Weights = {}

    def run(self) -> network.Weights:
        """Train to the end; the best epoch's weights. Raises ProgramError, or Stopped after SIGTERM."""
        keras, count = _prepared(self.values["seed"])
        model = network.build(self.survey.encoder, self.values["learning_rate"], self.values["l2"])
        model.optimizer.build(model.trainable_variables)
        variables = [*model.variables, *model.optimizer.variables]
        done, why = self._resume(variables)
        print(f"threads: {count}; resume: {why}", flush=True)
        for epoch in range(done + 1, self.values["epochs"] + 1):
            if self._is_exhausted(epoch - 1):
                print(f"early stop: no better epoch since {self.best.epoch}", flush=True)
                break
            history = model.fit(
                self._dataset(epoch),
                epochs=1,
                verbose=0,
                shuffle=False,
                callbacks=[_stopping(keras, self.stop)],
            )
            self.stop.check()
            self._after(epoch, float(history.history["loss"][0]), model, variables)
        self._check_export(model)
        # SageMaker keeps a metric's last value as the final one: that of the model that is kept.
        print(f"best: {_line(self.best.epoch, self.best.metrics)}", flush=True)
        return self.best_weights

    def describe(self) -> dict[str, Any]:
        """What a reader of the model must know."""
        return {
            "format": FORMAT,
            "hyperparameters": self.values,
            "best_epoch": self.best.epoch,
            "metrics": self.best.metrics,
            "rows": {"train": self.survey.rows, "validation": self.validation.rows},
            "likes": {"train": self.survey.likes},
            # Evaluation refuses to test on a file that training has seen.
            "data_sha256": self.digests,
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("tensorflow-cpu", "keras", "numpy", "pyarrow")},
            },
        }

    def _resume(self, variables: list[Any]) -> tuple[int, str]:
        found, why = checkpoint.load(self.folder, self.fingerprint)
        if found is None:
            return 0, why
        state, last, best = found
        for variable, value in zip(variables, last, strict=True):
            variable.assign(value)
        self.best, self.best_weights = state.best, best
        return state.epochs, why

    def _is_exhausted(self, epochs: int) -> bool:
        patience = self.values["early_stopping_epochs"]
        return patience > 0 and epochs - self.best.epoch >= patience

    def _after(self, epoch: int, loss: float, model: Any, variables: list[Any]) -> None:
        """Measure the epoch, keep it if it is the best, write the checkpoint."""
        weights = network.weights(model)
        if not all(np.isfinite(array).all() for array in weights.values()):
            raise ProgramError(f"epoch {epoch}: the weights are not finite; try a lower learning_rate")
        measured = score(Network(weights), self.validation, self.survey.encoder)
        print(f"epoch={epoch}; train_loss={loss:.6f}; {_line(epoch, measured)}", flush=True)
        if measured["log_loss"] < self.best.loss:
            self.best = Best(epoch, measured["log_loss"], measured)
            self.best_weights = weights
        state = State(self.fingerprint, epoch, self.best, f"last-{epoch}.npz", f"best-{self.best.epoch}.npz")
        checkpoint.save(
            self.folder, state, [np.asarray(variable) for variable in variables], self.best_weights
        )

    def _check_export(self, model: Any) -> None:
        """The arrays that are shipped must give what Keras gives."""
        rows = next(self.validation.chunks())
        inputs = rows.inputs(self.survey.encoder).take(slice(0, PARITY_ROWS))
        wanted = np.asarray(model.predict_on_batch(network.as_arguments(inputs)))[:, 0]
        difference = float(np.abs(wanted - Network(network.weights(model)).predict(inputs)).max())
        if not difference <= PARITY:
            raise ProgramError(f"the exported model differs from Keras' by {difference:g}")
        print(f"export: differs from Keras by {difference:.1e} at most", flush=True)

    def _dataset(self, epoch: int) -> Any:
        """The training rows of one epoch, as Keras reads them: batch after batch, never all at once."""
        import tensorflow as tf

        signature = {
            name: tf.TensorSpec((None, *shape), kind)
            for name, shape, kind in (
                ("user", (), tf.int32),
                ("movie", (), tf.int32),
                ("cross", (), tf.int32),
                ("genres", (8,), tf.int32),
                ("numbers", (7,), tf.float32),
            )
        }
        made = tf.data.Dataset.from_generator(
            lambda: self._arguments(epoch), output_signature=(signature, tf.TensorSpec((None,), tf.float32))
        )
        return made.prefetch(2)

    def _arguments(self, epoch: int) -> Iterator[tuple[dict[str, Any], NDArray[np.float32]]]:
        random = np.random.default_rng([self.values["seed"], epoch])
        for inputs, labels in batches(
            self.training, self.survey.encoder, self.values["batch_size"], self.values["shuffle_rows"], random
        ):
            hidden = random.random(len(labels)) < self.values["user_dropout"]
            seen = inputs._replace(user=np.where(hidden, 0, inputs.user).astype(np.int32))
            yield network.as_arguments(seen), labels


def batches(
    channel: Channel, encoder: Any, size: int, shuffle_rows: int, random: np.random.Generator
) -> Iterator[tuple[Inputs, NDArray[np.float32]]]:
    """Batches of `size` rows, drawn from `shuffle_rows` rows at a time; the last one may be smaller."""
    waiting: Inputs | None = None
    labels = np.zeros(0, np.float32)
    for chunk in channel.chunks(random):
        inputs = chunk.inputs(encoder)
        waiting = inputs if waiting is None else waiting + inputs
        labels = np.concatenate([labels, chunk.label])
        if len(labels) >= max(shuffle_rows, size):
            order = random.permutation(len(labels))
            whole = len(labels) // size * size
            for at in range(0, whole, size):
                rows = order[at : at + size]
                yield waiting.take(rows), labels[rows]
            waiting, labels = waiting.take(order[whole:]), labels[order[whole:]]
    if waiting is not None and len(labels):
        order = random.permutation(len(labels))
        for at in range(0, len(labels), size):
            rows = order[at : at + size]
            yield waiting.take(rows), labels[rows]


def score(model: Network, channel: Channel, encoder: Any) -> dict[str, float]:
    """accuracy, roc_auc, pr_auc and log_loss of a channel; of its rows, labels and scores alone are kept."""
    labels, scores = [], []
    for chunk in channel.chunks():
        labels.append(chunk.label)
        scores.append(model.predict(chunk.inputs(encoder)))
    return metrics.all_of(*(np.concatenate(parts).astype(np.float64) for parts in (labels, scores)))


def _line(epoch: int, measured: dict[str, float]) -> str:
    """What the metric definitions read: `name=value; ` for each metric."""
    values = "".join(f"validation_{name}={value:.6f}; " for name, value in measured.items())
    return f"of_epoch={epoch}; {values}"


def _prepared(seed: int) -> tuple[Any, int]:
    """Keras on TensorFlow with its threads counted and its randomness fixed."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    count = threads()
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)
    import keras

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return keras, count


def _stopping(keras: Any, stop: StopFlag) -> Any:
    """A callback that ends the epoch after the batch in which SIGTERM came."""

    class Stopping(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002  Keras' names
            if stop.is_set:
                self.model.stop_training = True
                # fit() would only end after the epoch.
                stop.check()

    return Stopping()
