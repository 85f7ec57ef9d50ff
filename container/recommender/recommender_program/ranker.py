"""Answers questions about users and movies by id: features looked up, candidates recalled and ranked.

A user nobody knows is answered as one of whom least is known: LEAST_HISTORY ratings, everybody's average, no
likes, no taste. A movie that is not in the catalogue has no answer: nothing is known of it, and nobody could
be shown it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import MOVIE_GENRES, MOVIE_NUMBERS, RATED, USER_GENRES, USER_NUMBERS
from .bundle import Model
from .encoding import GENRE_SLOTS, NUMBERS, Floats, Inputs, genre
from .recall import Neighbours
from .scoring import Network

# The fewest earlier ratings of a sample's user: features.py makes no samples of users with fewer.
LEAST_HISTORY = 2
# What a request may give itself, in place of what is looked up.
FEATURES = (*NUMBERS, *GENRE_SLOTS, *RATED)
NO_MOVIES = np.zeros(0, np.int64)


class Pair(NamedTuple):
    """Would the user like the movie? features: by name, in place of those that are looked up."""

    user: int
    movie: int
    features: Mapping[str, Any] | None = None


class Ranked(NamedTuple):
    """Movies for one user, best first. by: `candidates`, `embeddings` or `popularity`."""

    movies: NDArray[np.int64]
    probabilities: Floats
    by: str
    candidates: int
    unknown: list[int]


class _Person(NamedTuple):
    """One user's features, each with one row; rated: (5,)."""

    bucket: NDArray[np.int32]
    genres: NDArray[np.int32]
    numbers: NDArray[np.float64]
    rated: NDArray[np.int64]


class Ranker:
    """A loaded model. Raises ValueError when its parts do not fit each other."""

    def __init__(self, model: Model) -> None:
        self.encoder, tables = model.encoder, model.tables
        self.network = Network(model.weights)
        self.users, self.movies = tables.users, tables.movies
        self.neighbours = Neighbours(tables.embeddings)
        self._user_at = {int(user): at for at, user in enumerate(self.users.ids)}
        self._movie_at = {int(movie): at for at, movie in enumerate(self.movies.ids)}
        self._movie_index = self.encoder.movie(self.movies.ids)
        numbers = self.encoder.numbers(self.movies.numbers, MOVIE_NUMBERS)
        # A movie's share of the first layer, for all requests.
        self._movie_share = self.network.movie_share(self._movie_index, self.movies.genres, numbers)
        self._popular = self.movies.ids[np.lexsort((self.movies.ids, -self.movies.likes))]

    def knows_user(self, user: int) -> bool:
        """Whether there are statistics of the user."""
        return user in self._user_at

    # --- pairs

    def pairs(self, asked: Sequence[Pair]) -> list[float | None]:
        """The probability of each pair; None where the movie is unknown and the pair says nothing of it."""
        answered = [at for at, pair in enumerate(asked) if pair.movie in self._movie_at or pair.features]
        result: list[float | None] = [None] * len(asked)
        if answered:
            found = self.network.predict(self._inputs([asked[at] for at in answered]))
            for at, probability in zip(answered, found.tolist(), strict=True):
                result[at] = probability
        return result

    def _inputs(self, asked: Sequence[Pair]) -> Inputs:
        count = len(asked)
        genres = np.zeros((count, len(GENRE_SLOTS)), np.int32)
        numbers = np.full((count, len(NUMBERS)), np.nan)
        rated = np.zeros(count, np.int64)
        movies = np.fromiter((pair.movie for pair in asked), np.int64, count)
        users = np.fromiter((pair.user for pair in asked), np.int64, count)
        rows = np.fromiter((self._movie_at.get(pair.movie, -1) for pair in asked), np.int64, count)
        split, many = len(MOVIE_GENRES), len(MOVIE_NUMBERS)
        there = rows >= 0
        genres[there, :split] = self.movies.genres[rows[there]]
        numbers[there, :many] = self.movies.numbers[rows[there]]
        persons: dict[int, _Person] = {}
        for at, pair in enumerate(asked):
            person = persons.get(pair.user)
            if person is None:
                person = persons[pair.user] = self._person(pair.user)
            genres[at, split:], numbers[at, many:] = person.genres[0], person.numbers[0]
            rated[at] = person.rated[0]
            if pair.features:
                rated[at] = _override(pair.features, genres[at], numbers[at], int(rated[at]))
        return Inputs(
            self.encoder.user(users),
            self.encoder.movie(movies),
            self.encoder.cross(movies, rated),
            genres,
            self.encoder.numbers(numbers),
        )

    def _person(self, user: int) -> _Person:
        at = self._user_at.get(user)
        index = self.encoder.user(np.array([user], np.int64))
        if at is None:
            numbers = np.full((1, len(USER_NUMBERS)), np.nan)
            numbers[0, USER_NUMBERS.index("userRatingCount")] = LEAST_HISTORY
            none = np.zeros((1, len(USER_GENRES)), np.int32)
            return _Person(index, none, numbers, np.zeros(len(RATED), np.int64))
        row = slice(at, at + 1)
        return _Person(index, self.users.genres[row], self.users.numbers[row], self.users.rated[at])

    # --- rankings

    def rank(self, user: int, candidates: Sequence[int], top: int) -> Ranked:
        """The candidates for a user, the likeliest first; of each movie one, those unknown apart."""
        known = [movie for movie in dict.fromkeys(candidates) if movie in self._movie_at]
        unknown = [movie for movie in dict.fromkeys(candidates) if movie not in self._movie_at]
        return self._ranked(user, np.array(known, np.int64), top, "candidates", unknown)

    def recommend(
        self, user: int, count: int, top: int, without: Sequence[int], liked: Sequence[int]
    ) -> Ranked:
        """Recall `count` movies near those the user liked last, and rank them.

        Args:
            without: movies that are not wanted; what the user liked is left out anyway.
            liked: in place of what is known of the user.
        """
        likes = np.array(liked, np.int64) if liked else self._person(user).rated
        likes = likes[likes > 0]
        out = np.array(without, np.int64)
        found, by = self.neighbours.nearest(likes, count, out), "embeddings"
        # A vector of a movie that the catalogue has lost is of no use.
        found = found[np.isin(found, self.movies.ids)]
        if not len(found):
            by = "popularity"
            unwanted = np.concatenate([likes, out])
            found = self._popular[~np.isin(self._popular, unwanted)][:count]
        return self._ranked(user, found, top, by, [])

    def _ranked(self, user: int, movies: NDArray[np.int64], top: int, by: str, unknown: list[int]) -> Ranked:
        if not len(movies):
            return Ranked(NO_MOVIES, np.zeros(0, np.float32), by, 0, unknown)
        person = self._person(user)
        rows = np.fromiter((self._movie_at[movie] for movie in movies.tolist()), np.int64, len(movies))
        share = self.network.user_share(
            person.bucket, person.genres, self.encoder.numbers(person.numbers, USER_NUMBERS)
        )
        cross = self.encoder.cross(movies, person.rated[0])
        scores = self.network.finish(self._movie_share[rows] + share, cross)
        # Equals by id, so that the same question has the same answer.
        order = np.lexsort((movies, -scores))[:top]
        return Ranked(movies[order], scores[order], by, len(movies), unknown)


def _override(
    features: Mapping[str, Any], genres: NDArray[np.int32], numbers: NDArray[np.float64], rated: int
) -> int:
    """Put the given features into one row; return the movie liked last."""
    for name, value in features.items():
        if name in NUMBERS:
            numbers[NUMBERS.index(name)] = np.nan if value is None else value
        elif name in GENRE_SLOTS:
            genres[GENRE_SLOTS.index(name)] = genre(value)
        elif name == RATED[0]:
            rated = value or 0
    return rated
