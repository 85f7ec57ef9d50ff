"""Evaluates a trained model on ratings it has never seen and writes SageMaker's model-quality JSON.

In:  /opt/ml/processing/model/model.tar.gz (or the model's files), /opt/ml/processing/test/**.parquet
Out: /opt/ml/processing/evaluation/evaluation.json, and examples.csv beside it: the outcome of every row
"""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from model_quality.archive import ArchiveError, unpack
from model_quality.rows import EXAMPLES, digest_of, held_out, table
from numpy.typing import NDArray
from script_mode import Folders, ProgramError, StopFlag, run_program, write_atomically

from . import RATED, bundle, metrics
from .encoding import NUMBERS, bucket
from .errors import BadModel
from .recall import Neighbours
from .samples import COLUMNS, Channel, Rows
from .scoring import Network

RECALL_AT = (10, 50)


def main() -> int:
    """Run as SageMaker Processing runs it; return the exit code."""
    stop = StopFlag()
    stop.install()
    folders = Folders.from_environment()
    return run_program(lambda: evaluate(folders, stop), folders.message)


def evaluate(folders: Folders, stop: StopFlag) -> None:
    """Write evaluation.json. Raises ProgramError for a bad model or bad test data, Stopped after SIGTERM."""
    test = Channel(folders.processing / "test", "test", (*COLUMNS, *RATED[1:]))
    with tempfile.TemporaryDirectory() as scratch:
        try:
            model = bundle.load(unpack(folders.processing / "model", Path(scratch)))
            network = Network(model.weights)
        except (ArchiveError, BadModel, ValueError) as error:
            raise ProgramError(str(error)) from error
    refuse_seen_data(test, model)
    stop.check()
    result, outcomes = report(test, model, network)
    stop.check()
    out = folders.processing / "evaluation" / "evaluation.json"
    # Before the report, which tells of it.
    write_atomically(out.with_name(EXAMPLES), outcomes)
    # allow_nan=False: NaN is no JSON, and a report that holds one must not look like a good one.
    write_atomically(out, json.dumps(result, indent=2, allow_nan=False) + "\n")
    told: dict[str, Any] = {}
    for section in ("binary_classification_metrics", "ranking_metrics", "recall_metrics"):
        told |= result[section]
    for name in ("accuracy", "roc_auc", "pr_auc", "log_loss", "roc_auc_over_baseline", "recall_at_50"):
        print(f"test_{name}={told[name]['value']:.6f}; ", end="")
    print(f"wrote {out}, {test.rows} rows", flush=True)


def refuse_seen_data(test: Channel, model: bundle.Model) -> None:
    """Raise ProgramError when a test file is, byte for byte, one that training or validation has read."""
    seen = {digest: name for name, digest in model.metadata.get("data_sha256", {}).items()}
    same = [f"{name} is {seen[digest]}" for name, digest in test.digests().items() if digest in seen]
    if same:
        raise ProgramError(f"the test data is not held out: {', '.join(same)}")


def report(test: Channel, model: bundle.Model, network: Network) -> tuple[dict[str, Any], str]:
    """The metrics, with what they were measured on and with what; and the outcome of every row as CSV."""
    kept = _Kept(test, model, network)
    labels, scores = kept.labels, kept.scores
    if not np.isfinite(scores).all():
        raise ProgramError("the model gave scores that are not finite")
    if labels.min() == labels.max():
        raise ProgramError("all rows of the test data have the same label; nothing can be ranked")
    losses, right = metrics.losses(labels, scores), metrics.right(labels, scores)
    outcomes = table({"accuracy": right, "log_loss": losses})
    result = {
        "binary_classification_metrics": {
            **metrics.binary(labels, scores),
            "log_loss": _entry(losses.mean(), losses.std() / np.sqrt(len(losses))),
        },
        "ranking_metrics": _ranking(labels, scores, kept.counts, kept.averages),
        "recall_metrics": kept.recall(),
        "held_out": held_out(len(labels), kept.sha256, outcomes),
        "test_data": {
            "rows": test.rows,
            "likes": int(labels.sum()),
            "unknown_users": kept.unknown_users,
            "unknown_movies": kept.unknown_movies,
            "sha256": test.digests(),
        },
        "model": {key: model.metadata.get(key) for key in ("best_epoch", "hyperparameters", "tables")},
        "versions": {"python": platform.python_version(), "numpy": version("numpy")},
    }
    return result, outcomes


def _ranking(
    labels: metrics.Floats, scores: metrics.Floats, counts: metrics.Floats, averages: metrics.Floats
) -> dict[str, Any]:
    """The model's AUCs beside those of two that know no user: by popularity, and by average rating."""
    own = metrics.roc_auc(labels, scores)
    popularity, average = metrics.roc_auc(labels, counts), metrics.roc_auc(labels, averages)
    baseline = max(popularity, average)
    deviation = metrics.auc_deviation(labels, own)
    return {
        "roc_auc": _entry(own, deviation),
        "pr_auc": _entry(metrics.pr_auc(labels, scores)),
        "popularity_roc_auc": _entry(popularity, metrics.auc_deviation(labels, popularity)),
        "movie_average_roc_auc": _entry(average, metrics.auc_deviation(labels, average)),
        "roc_auc_over_baseline": _entry(own - baseline),
    }


def _entry(value: Any, deviation: Any = None) -> dict[str, float]:
    return {"value": float(value)} | ({} if deviation is None else {"standard_deviation": float(deviation)})


class _Kept:
    """One pass over the test data: of its rows, numbers alone are kept."""

    def __init__(self, test: Channel, model: bundle.Model, network: Network) -> None:
        labels, scores, counts, averages, liked, wanted = ([] for _ in range(6))
        at_count, at_average = (NUMBERS.index(name) for name in ("movieRatingCount", "movieAvgRating"))
        self.unknown_users = self.unknown_movies = 0

        def features() -> Iterator[NDArray[Any]]:
            """Each chunk, measured on its way into the digest."""
            for rows in test.chunks():
                inputs = rows.inputs(model.encoder)
                labels.append(rows.label)
                scores.append(network.predict(inputs))
                counts.append(rows.numbers[:, at_count])
                averages.append(rows.numbers[:, at_average])
                self.unknown_users += int((inputs.user == 0).sum())
                self.unknown_movies += int((inputs.movie == 0).sum())
                likes = rows.label > 0
                liked.append(rows.rated_movies[likes])
                wanted.append(rows.movie[likes])
                yield _features(rows)

        parts = list(_digests(features()))
        self.labels, self.scores, self.counts, self.averages = (
            np.concatenate(column).astype(np.float64) for column in (labels, scores, counts, averages)
        )
        # Of a movie never rated before, nobody knows an average.
        self.averages = np.nan_to_num(self.averages, nan=float(np.nanmean(self.averages)))
        self.sha256 = digest_of((len(self.labels),), self.labels.astype(np.int64), parts)
        self._liked, self._wanted = np.concatenate(liked), np.concatenate(wanted)
        self._model = model

    def recall(self) -> dict[str, Any]:
        """Shares of the likes that were among k candidates, by the embeddings and by popularity.

        Candidates for a row are asked with the movies that its user had liked last before it; rows whose user
        had liked none that has a vector are left out. Both choose from the movies that have one.
        """
        neighbours = Neighbours(self._model.tables.embeddings)
        asked = (neighbours.places(self._liked) >= 0).any(axis=1)
        liked, wanted = self._liked[asked], self._wanted[asked]
        ranks = neighbours.ranks(liked, wanted)
        popular = self._popularity_ranks(neighbours, liked, wanted)
        found: dict[str, Any] = {"likes_asked_for": _entry(len(wanted))}
        for k in RECALL_AT:
            for name, places in ((f"recall_at_{k}", ranks), (f"popularity_recall_at_{k}", popular)):
                share = float(((places >= 0) & (places < k)).mean()) if len(places) else 0.0
                found[name] = _entry(share, np.sqrt(share * (1 - share) / max(1, len(places))))
        return found

    def _popularity_ranks(
        self, neighbours: Neighbours, liked: NDArray[np.int64], wanted: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        likes = self._model.popularity[bucket(neighbours.ids, self._model.encoder.movie_buckets)]
        place_of = np.empty(len(likes), np.int64)
        place_of[np.argsort(-likes, kind="stable")] = np.arange(len(likes))
        target, own = neighbours.places(wanted), neighbours.places(liked)
        place = place_of[target]
        # Who liked a more popular movie already is not offered it.
        before = ((place_of[own] < place[:, None]) & (own >= 0)).sum(axis=1)
        return np.where(target >= 0, place - before, -1)


def _features(rows: Rows) -> NDArray[np.float64]:
    ids = np.stack([rows.user, rows.movie], axis=1).astype(np.float64)
    numbers = np.nan_to_num(rows.numbers, nan=-1.0)
    return np.concatenate([ids, rows.rated_movies, rows.genres, numbers], axis=1)


def _digests(parts: Iterator[NDArray[Any]]) -> Iterator[NDArray[np.float64]]:
    """32 numbers for each part, its SHA-256: so that no part need be kept."""
    for part in parts:
        digest = hashlib.sha256(np.ascontiguousarray(part.astype("<f8")).tobytes()).digest()
        yield np.frombuffer(digest, dtype=np.uint8).astype(np.float64)
