"""The network in Keras: the original's dense layers, their L2 part of the loss, and data that streams in.

TensorFlow is imported by this module and by no other.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import CLASSES, PIXELS
from .data import Channel
from .model import Layer

HIDDEN = (256, 128, 64, 32)
# What Keras is asked for: the mean loss without the L2 penalty, and the share of rows that are right.
METRICS = ("log_loss", "accuracy")


def prepare(threads: int, seed: int) -> None:
    """Import TensorFlow quietly, with so many threads and repeatable. Before anything else of this module."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Its other order of additions brings nothing for layers of this size, and a note at each start.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def build(learning_rate: float, l2: float) -> Any:
    """A compiled Keras model: 784 pixels in, 10 probabilities out."""
    import keras

    dense, penalty = keras.layers.Dense, keras.regularizers.L2(l2)
    network = keras.Sequential(
        [
            keras.Input((PIXELS,), name="pixels"),
            *(dense(units, activation="relu", kernel_regularizer=penalty) for units in HIDDEN),
            dense(len(CLASSES), activation="softmax"),
        ]
    )
    network.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=[
            keras.metrics.SparseCategoricalCrossentropy(name="log_loss"),
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        ],
    )
    return network


def layers(network: Any) -> list[Layer]:
    """The dense layers' arrays."""
    return [(layer.kernel.numpy(), layer.bias.numpy()) for layer in network.layers]


def put(network: Any, arrays: list[Layer]) -> None:
    """Give the layers these arrays."""
    for layer, pair in zip(network.layers, arrays, strict=True):
        layer.set_weights(list(pair))


def load(path: Path) -> Any:
    """A network that was saved with its optimiser."""
    import keras

    return keras.saving.load_model(path)


def dataset(channel: Channel, batch_size: int, shuffled: tuple[int, int, int] | None = None) -> Any:
    """A channel's rows in batches, read from its files as they are needed.

    Args:
        shuffled: seed, epoch and rows to draw from; the same three give the same order. None: as they lie.
    """
    import tensorflow as tf

    signature = (
        tf.TensorSpec((None, PIXELS), tf.float32),
        tf.TensorSpec((None,), tf.int64),
    )
    if shuffled is None:
        rows = tf.data.Dataset.from_generator(channel.batches, output_signature=signature).unbatch()
        return _batched(rows, channel, batch_size)
    seed, epoch, drawn_from = shuffled
    random = np.random.default_rng([seed, epoch])
    files = [channel.files[index] for index in random.permutation(len(channel.files))]
    rows = tf.data.Dataset.from_generator(
        lambda: channel.batches(files), output_signature=signature
    ).unbatch()
    order = int(random.integers(1 << 31))
    return _batched(rows.shuffle(min(drawn_from, channel.rows), seed=order), channel, batch_size)


def _batched(rows: Any, channel: Channel, batch_size: int) -> Any:
    """Batches, and how many there are: a generator does not say, and Keras would take its end for a fault."""
    import tensorflow as tf

    batches = rows.batch(batch_size).prefetch(2)
    return batches.apply(tf.data.experimental.assert_cardinality(math.ceil(channel.rows / batch_size)))


def after_batch(call: Callable[[], None]) -> Any:
    """A Keras callback that calls between two batches."""
    import keras

    class Between(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002  Keras's signature
            call()

    return Between()
