"""Makes the container's modules importable, and a small model of random weights to ask."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

CONTAINERS = Path(__file__).resolve().parents[3] / "container"
# In the image the shared folders lie beside the program; here they are one folder up.
for folder in (CONTAINERS / "recommender", CONTAINERS):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from recommender_program import bundle  # noqa: E402
from recommender_program.encoding import GENRE_BUCKETS, GENRE_SLOTS, NUMBERS, Encoder  # noqa: E402

USERS, MOVIES, CROSS, WIDTH, HIDDEN = 16, 64, 97, 10, 128


@pytest.fixture(scope="session")
def model() -> bundle.Model:
    """40 movies, users 1 to 8 and a 900; movies 1 to 30 have vectors, in two opposite groups."""
    dice = np.random.default_rng(5)

    def some(*shape: int) -> np.ndarray:
        return (dice.standard_normal(shape) * 0.3).astype(np.float32)

    weights = {
        "user_embedding": some(USERS, WIDTH),
        "movie_embedding": some(MOVIES, WIDTH),
        "genre_embedding": some(GENRE_BUCKETS * len(GENRE_SLOTS), WIDTH),
        "wide": some(CROSS, 1),
        "deep_1_kernel": some(WIDTH * (2 + len(GENRE_SLOTS)) + len(NUMBERS), HIDDEN),
        "deep_1_bias": some(HIDDEN),
        "deep_2_kernel": some(HIDDEN, HIDDEN) * 0.3,
        "deep_2_bias": some(HIDDEN),
        "deep_out_kernel": some(HIDDEN, 1),
        "deep_out_bias": some(1),
    }
    known_users, known_movies = np.zeros(USERS, bool), np.zeros(MOVIES, bool)
    known_users[1:9], known_movies[1:36] = True, True
    encoder = Encoder(
        USERS, MOVIES, CROSS, known_users, known_movies, np.full(7, 3, np.float32), np.full(7, 2, np.float32)
    )
    users = np.array([*range(1, 9), 900])
    rated = np.zeros((9, 5), np.int64)
    rated[0] = [1, 2, 3, 0, 0]  # of the one group
    rated[1] = [16, 17, 0, 0, 0]  # of the other
    rated[2] = [38, 0, 0, 0, 0]  # liked what has no vector
    movies = np.arange(1, 41)
    vectors = np.ones((30, 10), np.float32) * np.where(np.arange(30) < 15, 1, -1)[:, None] + some(30, 10)
    tables = bundle.Tables(
        bundle.Users(
            users,
            rated,
            dice.integers(0, GENRE_BUCKETS, (9, 5)).astype(np.int32),
            dice.uniform(1, 5, (9, 3)),
        ),
        bundle.Movies(
            movies,
            dice.integers(0, GENRE_BUCKETS, (40, 3)).astype(np.int32),
            np.where(movies[:, None] == 40, np.nan, dice.uniform(1, 5, (40, 4))),
            np.arange(40)[::-1].copy(),
        ),
        bundle.Embeddings(np.arange(1, 31), vectors),
    )
    return bundle.Model(encoder, weights, tables, np.zeros(MOVIES, np.int64), {"format": bundle.FORMAT})
