"""Scores by numpy alone: the trained network as plain arrays, its first layer folded into its embeddings.

The first dense layer is a sum over the parts of its input. So each embedding is multiplied with its part
once, when the model is loaded, and a movie's whole share is one row of 128 numbers: ranking a thousand
candidates is one addition, one product of matrices and one dot product.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import MOVIE_GENRES, MOVIE_NUMBERS, USER_GENRES, USER_NUMBERS
from .encoding import GENRE_BUCKETS, GENRE_SLOTS, NUMBERS, Floats, Inputs, Ints

SHAPES = {
    "user_embedding": 2,
    "movie_embedding": 2,
    "genre_embedding": 2,
    "wide": 2,
    "deep_1_kernel": 2,
    "deep_1_bias": 1,
    "deep_2_kernel": 2,
    "deep_2_bias": 1,
    "deep_out_kernel": 2,
    "deep_out_bias": 1,
}
# Rows scored at a time, which bounds the memory of a large request.
ROWS = 4096


class Network:
    """The trained network. weights: arrays by name as network.weights() gives them."""

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        """Raises ValueError when arrays are missing, misshapen or not finite."""
        for name, dimensions in SHAPES.items():
            if name not in weights:
                raise ValueError(f"the weights lack {name}")
            array = weights[name]
            if array.ndim != dimensions or not np.isfinite(array).all():
                raise ValueError(f"the weights {name} are not finite numbers of {dimensions} dimensions")
        width = weights["user_embedding"].shape[1]
        kernel = weights["deep_1_kernel"]
        parts = [width, width, width * len(GENRE_SLOTS), len(NUMBERS)]
        if kernel.shape[0] != sum(parts) or weights["genre_embedding"].shape[0] != GENRE_BUCKETS * len(
            GENRE_SLOTS
        ):
            raise ValueError(f"the first layer has {kernel.shape[0]} inputs, {sum(parts)} are expected")
        ends = np.cumsum(parts)
        of_user, of_movie, of_genres, self._numbers = np.split(kernel, ends[:-1])
        self._user = weights["user_embedding"] @ of_user
        self._movie = weights["movie_embedding"] @ of_movie
        tables = weights["genre_embedding"].reshape(len(GENRE_SLOTS), GENRE_BUCKETS, width)
        kernels = of_genres.reshape(len(GENRE_SLOTS), width, -1)
        self._genres = np.einsum("sgw,swh->sgh", tables, kernels)
        self._bias = weights["deep_1_bias"]
        self._kernel_2, self._bias_2 = weights["deep_2_kernel"], weights["deep_2_bias"]
        self._out, self._out_bias = weights["deep_out_kernel"][:, 0], float(weights["deep_out_bias"][0])
        self._wide = weights["wide"][:, 0]

    def predict(self, inputs: Inputs) -> NDArray[np.float32]:
        """(n,) probabilities."""
        pieces = []
        for at in range(0, len(inputs.user), ROWS):
            part = inputs.take(slice(at, at + ROWS))
            pieces.append(self.finish(self.first_layer(part), part.cross))
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)

    def first_layer(self, inputs: Inputs) -> Floats:
        """(n, 128): the first layer before its activation, without the bias."""
        split = len(MOVIE_GENRES)
        numbers = len(MOVIE_NUMBERS)
        movie = self.movie_share(inputs.movie, inputs.genres[:, :split], inputs.numbers[:, :numbers])
        return movie + self.user_share(inputs.user, inputs.genres[:, split:], inputs.numbers[:, numbers:])

    def movie_share(self, index: Ints, genres: Ints, numbers: Floats) -> Floats:
        """(n, 128): what is the movie's in the first layer. numbers: (n, 4), scaled."""
        share = self._movie[index] + numbers @ self._numbers[: len(MOVIE_NUMBERS)]
        for slot in range(len(MOVIE_GENRES)):
            share += self._genres[slot][genres[:, slot]]
        return share

    def user_share(self, index: Ints, genres: Ints, numbers: Floats) -> Floats:
        """(n, 128): what is the user's in the first layer. numbers: (n, 3), scaled."""
        share = self._user[index] + numbers @ self._numbers[-len(USER_NUMBERS) :]
        for slot in range(len(USER_GENRES)):
            share += self._genres[len(MOVIE_GENRES) + slot][genres[:, slot]]
        return share

    def finish(self, first: Floats, cross: Ints) -> Floats:
        """(n,) probabilities of first layers and crosses."""
        hidden = np.maximum(first + self._bias, 0)
        hidden = np.maximum(hidden @ self._kernel_2 + self._bias_2, 0)
        score = hidden @ self._out + self._out_bias + self._wide[cross]
        # Of a far negative score exp() is infinite, and the probability 0.
        with np.errstate(over="ignore"):
            result: Floats = (1 / (1 + np.exp(-score))).astype(np.float32)
        return result
