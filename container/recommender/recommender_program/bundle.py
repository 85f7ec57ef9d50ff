"""What model.tar.gz holds: the network, how its inputs are made, and the tables that serving looks up.

Plain arrays in .npz files, which load in milliseconds and can hold no code; metadata.json is for people and
for the evaluation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import MOVIE_GENRES, MOVIE_NUMBERS, RATED, USER_GENRES, USER_NUMBERS
from .encoding import Encoder
from .errors import BadModel

METADATA = "metadata.json"
FORMAT = 1
NETWORK, ENCODER, POPULARITY = "network.npz", "encoder.npz", "popularity.npz"
_ARRAYS = ("known_users", "known_movies", "mean", "deviation")
_SIZES = ("user_buckets", "movie_buckets", "cross_buckets")


@dataclass(frozen=True)
class Users:
    """Users' latest statistics. ids: (n,) ascending; genres (n, 5); numbers (n, 3).

    rated: (n, 5) the movies they liked last, the latest first; 0: none.
    """

    ids: NDArray[np.int64]
    rated: NDArray[np.int64]
    genres: NDArray[np.int32]
    numbers: NDArray[np.float64]


@dataclass(frozen=True)
class Movies:
    """The catalogue. ids: (n,) ascending; genres (n, 3); numbers (n, 4), NaN: unknown; likes (n,)."""

    ids: NDArray[np.int64]
    genres: NDArray[np.int32]
    numbers: NDArray[np.float64]
    likes: NDArray[np.int64]


@dataclass(frozen=True)
class Embeddings:
    """item2vec's vectors of movies. ids: (n,) ascending; vectors: (n, size)."""

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class Tables:
    """All that serving looks up."""

    users: Users
    movies: Movies
    embeddings: Embeddings

    @classmethod
    def read(cls, users: Path, catalogue: Path, embeddings: Path) -> Tables:
        """From the channels' Parquet files. Raises ProgramError."""
        # pyarrow is for training only; serving need not load it.
        from . import tables

        of_users: dict[str, tuple[str, ...] | str] = {
            "rated": RATED,
            "genres": USER_GENRES,
            "numbers": USER_NUMBERS,
        }
        of_movies: dict[str, tuple[str, ...] | str] = {
            "genres": MOVIE_GENRES,
            "numbers": MOVIE_NUMBERS,
            "likes": "movieLikes",
        }
        return cls(
            Users(**tables.read(users, "users", "userId", of_users)),
            Movies(**tables.read(catalogue, "catalogue", "movieId", of_movies)),
            Embeddings(**tables.read(embeddings, "embeddings", "movieId", {"vectors": "vector"})),
        )

    def describe(self) -> dict[str, Any]:
        """Rows and a digest of each table."""
        found = {}
        for name, table in (("users", self.users), ("movies", self.movies), ("embeddings", self.embeddings)):
            digest = hashlib.sha256()
            for array in asdict(table).values():
                digest.update(np.ascontiguousarray(array).tobytes())
            found[name] = {"rows": len(table.ids), "sha256": digest.hexdigest()}
        return found


@dataclass(frozen=True)
class Model:
    """All of it, as loaded. popularity: (movie_buckets,) likes in the training data."""

    encoder: Encoder
    weights: dict[str, NDArray[np.float32]]
    tables: Tables
    popularity: NDArray[np.int64]
    metadata: dict[str, Any]


def save(
    folder: Path,
    encoder: Encoder,
    weights: dict[str, NDArray[np.float32]],
    tables: Tables,
    popularity: NDArray[np.int64],
) -> None:
    """Write the arrays; the metadata, without which they are no model, is the caller's to write last."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / NETWORK, **weights)  # type: ignore[arg-type]
    sizes = np.array([getattr(encoder, name) for name in _SIZES], dtype=np.int64)
    np.savez(folder / ENCODER, sizes=sizes, **{name: getattr(encoder, name) for name in _ARRAYS})
    np.savez(folder / POPULARITY, likes=popularity)
    for name in ("users", "movies", "embeddings"):
        np.savez(folder / f"{name}.npz", **asdict(getattr(tables, name)))


def load(folder: Path) -> Model:
    """What `save` wrote. Raises BadModel when something is missing, damaged or of another format."""
    path = folder / METADATA
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
        found = metadata["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadModel(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    if found != FORMAT:
        raise BadModel(f"{path} is of format {found}, this program reads {FORMAT}")
    coding = _arrays(folder / ENCODER, ("sizes", *_ARRAYS))
    sizes: dict[str, Any] = dict(zip(_SIZES, map(int, coding.pop("sizes")), strict=True))
    tables = Tables(
        Users(**_arrays(folder / "users.npz", tuple(Users.__dataclass_fields__))),
        Movies(**_arrays(folder / "movies.npz", tuple(Movies.__dataclass_fields__))),
        Embeddings(**_arrays(folder / "embeddings.npz", tuple(Embeddings.__dataclass_fields__))),
    )
    popularity = _arrays(folder / POPULARITY, ("likes",))["likes"]
    return Model(Encoder(**sizes, **coding), _arrays(folder / NETWORK), tables, popularity, metadata)


def _arrays(path: Path, names: Sequence[str] = ()) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    # A damaged archive raises what zipfile, zlib or numpy find first.
    except Exception as error:
        raise BadModel(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise BadModel(f"{path} lacks {', '.join(missing)}")
    return found
