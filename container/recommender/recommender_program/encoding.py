"""Features as the model takes them: indices of embeddings, scaled numbers. One code trains and serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import COUNTS, GENRES, MOVIE_GENRES, MOVIE_NUMBERS, USER_GENRES, USER_NUMBERS

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]

NUMBERS = MOVIE_NUMBERS + USER_NUMBERS
GENRE_SLOTS = MOVIE_GENRES + USER_GENRES
GENRE_BUCKETS = len(GENRES) + 1
_INDEX_OF = {genre: index for index, genre in enumerate(GENRES, 1)}
# Odd and large, so that neighbouring ids of the one do not meet neighbouring ids of the other.
_CROSS_FACTOR = 1_000_003


class Inputs(NamedTuple):
    """A batch. user, movie, cross: (n,); genres: (n, 8) in the order of GENRE_SLOTS; numbers: (n, 7)."""

    user: Ints
    movie: Ints
    cross: Ints
    genres: Ints
    numbers: Floats

    def take(self, rows: Any) -> Inputs:
        """Some rows."""
        return Inputs(*(column[rows] for column in self))

    def __add__(self, other: Any) -> Inputs:
        """The rows of both."""
        return Inputs(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Encoder:
    """How ids and numbers become inputs; part of the model, since a model is worth nothing with another's.

    Args:
        user_buckets, movie_buckets, cross_buckets: sizes of the embeddings. Ids below the size have one to
            themselves; greater ones share.
        known_users, known_movies: (buckets,) whether training has seen the bucket; others are index 0.
        mean, deviation: (7,) of NUMBERS, after the logarithm of COUNTS.
    """

    user_buckets: int
    movie_buckets: int
    cross_buckets: int
    known_users: NDArray[np.bool_]
    known_movies: NDArray[np.bool_]
    mean: Floats
    deviation: Floats

    def user(self, ids: Any) -> Ints:
        """Indices of the users' embeddings."""
        index = bucket(ids, self.user_buckets)
        return np.where(self.known_users[index], index, 0).astype(np.int32)

    def movie(self, ids: Any) -> Ints:
        """Indices of the movies' embeddings."""
        index = bucket(ids, self.movie_buckets)
        return np.where(self.known_movies[index], index, 0).astype(np.int32)

    def cross(self, movies: Any, rated: Any) -> Ints:
        """Indices of (movie, the movie that the user liked last). rated: ids, 0 where there is none."""
        mixed = np.asarray(movies, dtype=np.int64) * _CROSS_FACTOR + np.asarray(rated, dtype=np.int64)
        return (mixed % self.cross_buckets).astype(np.int32)

    def numbers(self, raw: NDArray[np.float64], names: tuple[str, ...] = NUMBERS) -> Floats:
        """Scaled numbers; raw: (n, len(names)), NaN where unknown, which becomes the mean."""
        at = [NUMBERS.index(name) for name in names]
        scaled = (logarithmic(raw, names) - self.mean[at]) / self.deviation[at]
        return np.nan_to_num(scaled, nan=0.0).astype(np.float32)


def bucket(ids: Any, buckets: int) -> NDArray[np.int64]:
    """1 to buckets - 1; the id itself where it is one of them."""
    return (np.asarray(ids, dtype=np.int64) - 1) % (buckets - 1) + 1


def logarithmic(raw: NDArray[np.float64], names: tuple[str, ...]) -> NDArray[np.float64]:
    """The numbers with log(1 + n) in place of each count n. raw: (n, len(names))."""
    result = np.array(raw, dtype=np.float64)
    for at, name in enumerate(names):
        if name in COUNTS:
            result[:, at] = np.log1p(result[:, at])
    return result


def genre(name: Any) -> int:
    """Index of a genre: 0 for none, that of `unknown` for one the model has never heard of."""
    return 0 if name is None else _INDEX_OF.get(name, _INDEX_OF["unknown"])


def features_of(values: Mapping[str, Any]) -> tuple[list[int], list[float]]:
    """Genre indices and raw numbers of one user's or movie's features by name."""
    genres = [genre(values[name]) for name in GENRE_SLOTS if name in values]
    numbers = [_number(values[name]) for name in NUMBERS if name in values]
    return genres, numbers


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
