"""The Wide & Deep model in Keras: embeddings and numbers through two dense layers, beside a crossed feature.

Deep: user, movie and eight genres as embeddings of 10, and seven numbers, through two dense layers of 128.
Wide: the pair (movie, the movie that the user liked last) as one weight of its own. Both end in one sigmoid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .encoding import GENRE_BUCKETS, GENRE_SLOTS, NUMBERS, Encoder, Inputs

EMBEDDING = 10
HIDDEN = 128

# Each of the eight columns of genres has an embedding of its own, as in the original.
_TABLES = np.arange(len(GENRE_SLOTS), dtype=np.int32) * GENRE_BUCKETS

Weights = dict[str, NDArray[np.float32]]


def build(encoder: Encoder, learning_rate: float, l2: float) -> Any:
    """The model, compiled. Its inputs are what `as_arguments` gives; its output (n, 1) probabilities."""
    import keras

    layers = keras.layers
    regular = keras.regularizers.L2(l2) if l2 else None

    def embedding(name: str, buckets: int, width: int = EMBEDDING) -> Any:
        return layers.Embedding(buckets, width, embeddings_regularizer=regular, name=name)

    inputs = {
        "user": keras.Input((), dtype="int32", name="user"),
        "movie": keras.Input((), dtype="int32", name="movie"),
        "cross": keras.Input((), dtype="int32", name="cross"),
        "genres": keras.Input((len(GENRE_SLOTS),), dtype="int32", name="genres"),
        "numbers": keras.Input((len(NUMBERS),), dtype="float32", name="numbers"),
    }
    genres = embedding("genre_embedding", len(GENRE_SLOTS) * GENRE_BUCKETS)(inputs["genres"])
    deep = layers.Concatenate()(
        [
            embedding("user_embedding", encoder.user_buckets)(inputs["user"]),
            embedding("movie_embedding", encoder.movie_buckets)(inputs["movie"]),
            layers.Flatten()(genres),
            inputs["numbers"],
        ]
    )
    deep = layers.Dense(HIDDEN, activation="relu", name="deep_1")(deep)
    deep = layers.Dense(HIDDEN, activation="relu", name="deep_2")(deep)
    # A dense layer over the one-hot of the cross is a lookup of one weight.
    cross = layers.Embedding(encoder.cross_buckets, 1, embeddings_initializer="zeros", name="wide")
    score = layers.Dense(1, name="deep_out")(deep) + cross(inputs["cross"])
    model = keras.Model(inputs, layers.Activation("sigmoid")(score))
    model.compile(keras.optimizers.Adam(learning_rate), loss="binary_crossentropy")
    return model


def as_arguments(inputs: Inputs) -> dict[str, Any]:
    """What the model is called with: eight tables of genres lie in one, behind each other."""
    return {**inputs._asdict(), "genres": inputs.genres + _TABLES}


def weights(model: Any) -> Weights:
    """All weights by name, as `Network` (scoring.py) takes them."""
    found: Weights = {}
    for name in ("user_embedding", "movie_embedding", "genre_embedding", "wide"):
        found[name] = np.asarray(model.get_layer(name).get_weights()[0], dtype=np.float32)
    for name in ("deep_1", "deep_2", "deep_out"):
        kernel, bias = model.get_layer(name).get_weights()
        found[f"{name}_kernel"], found[f"{name}_bias"] = np.asarray(kernel), np.asarray(bias)
    return found
