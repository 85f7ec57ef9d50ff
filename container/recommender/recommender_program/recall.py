"""Candidates by item2vec: the movies whose vectors are nearest to those a user liked last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .bundle import Embeddings
from .encoding import Floats

# Users asked about at a time.
USERS = 256


class Neighbours:
    """Vectors of length 1 and where each movie's lies. Cosine is their product."""

    def __init__(self, embeddings: Embeddings) -> None:
        self.ids = embeddings.ids
        lengths = np.linalg.norm(embeddings.vectors, axis=1, keepdims=True)
        self.vectors = (embeddings.vectors / np.maximum(lengths, 1e-12)).astype(np.float32)

    def places(self, movies: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the movies' vectors, -1 where there is none. Any shape."""
        at = np.searchsorted(self.ids, movies)
        found = np.where(at < len(self.ids), at, 0)
        return np.where(self.ids[found] == movies, found, -1)

    def tastes(self, places: NDArray[np.int64]) -> Floats:
        """(n, size): the mean vector of each row's movies. places: (n, k), -1: none."""
        there = (places >= 0)[..., None]
        total: Floats = (self.vectors[places] * there).sum(axis=1)
        return total / np.maximum(there.sum(axis=1), 1)

    def nearest(self, liked: NDArray[np.int64], count: int, without: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ids of the `count` movies nearest to the liked ones, best first; those and `without` left out.

        Nothing is nearest to movies that have no vector: then the result is empty.
        """
        places = self.places(liked)
        if not (places >= 0).any():
            return np.zeros(0, np.int64)
        scores = self.vectors @ self.tastes(places[None, :])[0]
        out = self.places(np.concatenate([liked, without]))
        scores[out[out >= 0]] = -np.inf
        count = min(count, int(np.isfinite(scores).sum()))
        chosen = np.argpartition(-scores, count - 1)[:count] if count else np.zeros(0, np.int64)
        # By score, equals by id.
        return self.ids[chosen[np.lexsort((self.ids[chosen], -scores[chosen]))]]

    def ranks(self, liked: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) the place (from 0) of each wanted movie for who liked these; -1 where it has no vector.

        liked: (n, k) ids, 0: none; rows must have one with a vector. Liked movies are no candidates.
        """
        result = np.full(len(wanted), -1, np.int64)
        targets = self.places(wanted)
        for at in range(0, len(wanted), USERS):
            part = slice(at, at + USERS)
            places, target = self.places(liked[part]), targets[part]
            scores = self.tastes(places) @ self.vectors.T
            own = scores[np.arange(len(target)), target]
            rows, columns = np.nonzero(places >= 0)
            scores[rows, places[rows, columns]] = -np.inf
            place = (scores > own[:, None]).sum(axis=1)
            result[part] = np.where(target >= 0, place, -1)
        return result
