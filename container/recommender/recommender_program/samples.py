"""Streams samples out of Parquet: a few thousand rows at a time, never a channel as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from script_mode import ProgramError

from . import GENRES, LABEL, RATED
from .encoding import GENRE_SLOTS, NUMBERS, Encoder, Inputs, bucket, logarithmic

COLUMNS = ("userId", "movieId", RATED[0], LABEL, *GENRE_SLOTS, *NUMBERS)
# Rows read at a time.
CHUNK = 8192
_READ_BYTES = 1 << 20


class Rows(NamedTuple):
    """Some rows as they lie in the files. numbers (n, 7) with NaN for null; genres (n, 8) indices.

    rated_movies: (n, 1), or (n, 5) where all of RATED are read; 0: none.
    """

    user: NDArray[np.int64]
    movie: NDArray[np.int64]
    rated_movies: NDArray[np.int64]
    label: NDArray[np.float32]
    genres: NDArray[np.int32]
    numbers: NDArray[np.float64]

    def inputs(self, encoder: Encoder) -> Inputs:
        """As the model takes them."""
        return Inputs(
            encoder.user(self.user),
            encoder.movie(self.movie),
            encoder.cross(self.movie, self.rated_movies[:, 0]),
            self.genres,
            encoder.numbers(self.numbers),
        )


class Channel:
    """The Parquet files of one channel, checked to hold COLUMNS. Raises ProgramError naming the file."""

    def __init__(self, folder: Path, name: str, columns: tuple[str, ...] = COLUMNS) -> None:
        self.name, self.columns = name, columns
        self.paths = files_in(folder, name)
        self.rows = 0
        for path in self.paths:
            self.rows += check_columns(path, self.where(path), columns)
        if not self.rows:
            raise ProgramError(f"channel {name!r} holds no rows ({len(self.paths)} empty files)")

    def where(self, path: Path) -> str:
        """A file's name in messages."""
        return f"{self.name}/{path.name}"

    def digests(self) -> dict[str, str]:
        """SHA-256 of each file."""
        found = {}
        for path in self.paths:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while piece := file.read(_READ_BYTES):
                    digest.update(piece)
            found[self.where(path)] = digest.hexdigest()
        return found

    def chunks(self, random: np.random.Generator | None = None) -> Iterator[Rows]:
        """All rows, CHUNK or fewer at a time: file after file, or from all files in turns by `random`."""
        readers = [self._read(path) for path in self.paths]
        if random is None:
            for reader in readers:
                yield from reader
            return
        while readers:
            at = int(random.integers(len(readers)))
            found = next(readers[at], None)
            if found is None:
                del readers[at]
            else:
                yield found

    def _read(self, path: Path) -> Iterator[Rows]:
        for batch in arrow_batches(path, self.where(path), self.columns):
            yield _rows(batch, self.where(path))


def files_in(folder: Path, name: str) -> list[Path]:
    """The data files below a folder, sorted; hidden ones and markers such as _SUCCESS are left out."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise ProgramError(f"channel {name!r} holds no data file ({folder})")
    return found


def arrow_batches(path: Path, where: str, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """A file's columns, CHUNK rows at a time. Raises ProgramError when it is damaged."""
    try:
        # Without pre-buffering: else a whole row group's columns are held at once.
        with pq.ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False) as file:
            yield from file.iter_batches(batch_size=CHUNK, columns=list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ProgramError(f"{where}: {error}") from error


def check_columns(path: Path, where: str, columns: tuple[str, ...]) -> int:
    """Rows of a file that has all columns. Raises ProgramError."""
    try:
        metadata = pq.read_metadata(path)
        there = set(metadata.schema.to_arrow_schema().names)
    except (pa.ArrowException, OSError) as error:
        raise ProgramError(f"{where} is no whole Parquet file: {error}") from error
    missing = [column for column in columns if column not in there]
    if missing:
        raise ProgramError(f"{where} has no column {', '.join(missing)}; it has {', '.join(sorted(there))}")
    return int(metadata.num_rows)


def _rows(batch: pa.RecordBatch, where: str) -> Rows:
    vocabulary = pa.array(GENRES)
    unknown = len(GENRES)

    def ids(name: str, empty: int | None = None) -> NDArray[np.int64]:
        column = batch[name].cast(pa.int64())
        if column.null_count:
            if empty is None:
                raise ProgramError(f"{where}: column {name} has {column.null_count} empty values")
            column = column.fill_null(empty)
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64)

    def genres(name: str) -> NDArray[np.int32]:
        column = batch[name]
        index = pc.add(pc.index_in(column, vocabulary).fill_null(unknown - 1), 1)
        return np.where(column.is_null().to_numpy(zero_copy_only=False), 0, index).astype(np.int32)

    numbers = [batch[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in NUMBERS]
    label = ids(LABEL)
    if not np.isin(label, (0, 1)).all():
        raise ProgramError(f"{where}: column {LABEL} holds something else than 0 and 1")
    return Rows(
        ids("userId"),
        ids("movieId"),
        np.stack([ids(name, empty=0) for name in RATED if name in batch.schema.names], axis=1),
        label.astype(np.float32),
        np.stack([genres(name) for name in GENRE_SLOTS], axis=1),
        np.stack(numbers, axis=1).astype(np.float64),
    )


@dataclass(frozen=True)
class Survey:
    """What one pass over the training data finds out. movie_likes: (movie_buckets,)."""

    rows: int
    likes: int
    movie_likes: NDArray[np.int64]
    encoder: Encoder


def survey(channel: Channel, user_buckets: int, movie_buckets: int, cross_buckets: int) -> Survey:
    """Count, scale and remember which ids there are; what is kept does not grow with the rows."""
    users = np.zeros(user_buckets, dtype=np.bool_)
    movies = np.zeros(movie_buckets, dtype=np.bool_)
    count, total, squares = (np.zeros(len(NUMBERS)) for _ in range(3))
    movie_likes = np.zeros(movie_buckets, dtype=np.int64)
    rows = likes = 0
    origin: NDArray[np.float64] | None = None
    for chunk in channel.chunks():
        users[bucket(chunk.user, user_buckets)] = True
        movie = bucket(chunk.movie, movie_buckets)
        movies[movie] = True
        movie_likes += np.bincount(movie[chunk.label > 0], minlength=movie_buckets)
        numbers = logarithmic(chunk.numbers, NUMBERS)
        if origin is None:  # near the mean, so that the squares stay small
            origin = np.nan_to_num(np.nanmean(numbers, axis=0))
        there = ~np.isnan(numbers)
        moved = np.where(there, numbers - origin, 0.0)
        count += there.sum(axis=0)
        total += moved.sum(axis=0)
        squares += (moved**2).sum(axis=0)
        rows += len(chunk.label)
        likes += int(chunk.label.sum())
    assert origin is not None  # a channel has rows
    some = np.maximum(count, 1)
    mean = total / some
    variance = np.maximum(squares / some - mean**2, 0)
    deviation = np.where(variance > 1e-12, np.sqrt(variance), 1.0)
    encoder = Encoder(
        user_buckets,
        movie_buckets,
        cross_buckets,
        users,
        movies,
        (mean + origin).astype(np.float32),
        deviation.astype(np.float32),
    )
    return Survey(rows, likes, movie_likes, encoder)
