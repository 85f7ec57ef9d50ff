"""The recommender's parts that need no Spark and no TensorFlow: agreement with Glue, metrics, files."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recommender_program as program
from recommender_program import bundle, metrics
from recommender_program.encoding import NUMBERS, Encoder, bucket
from recommender_program.errors import BadModel
from recommender_program.ranker import LEAST_HISTORY
from recommender_program.recall import Neighbours

REPOSITORY = Path(__file__).resolve().parents[3]
LIKES = np.array([1.0, 0, 1, 1, 0, 0, 1, 0])
SCORES = np.array([0.9, 0.8, 0.7, 0.7, 0.7, 0.3, 0.2, 0.1])


def constants(path: Path) -> dict[str, Any]:
    """The module's plain constants, without importing it: it needs Spark."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return found


def test_glue_and_the_container_know_the_same_genres_and_columns() -> None:
    path = REPOSITORY / "glue_scripts" / "recommender" / "features.py"
    theirs = constants(path)
    assert theirs["GENRES"] == program.GENRES
    assert theirs["LEAST_HISTORY"] == LEAST_HISTORY
    text = path.read_text()
    for name in NUMBERS:
        assert f'"{name}"' in text
    for kind in ("movieGenre", "userGenre", "userRatedMovie"):
        assert f'f"{kind}{{n}}"' in text


def test_roc_auc_is_the_share_of_pairs_in_order_equals_counting_half() -> None:
    pairs = [
        1.0 if like > other else 0.5 if like == other else 0.0
        for like in SCORES[LIKES > 0]
        for other in SCORES[LIKES == 0]
    ]
    assert metrics.roc_auc(LIKES, SCORES) == pytest.approx(np.mean(pairs))
    assert metrics.roc_auc(LIKES, -SCORES) == pytest.approx(1 - np.mean(pairs))
    assert np.isnan(metrics.roc_auc(np.ones(3), np.ones(3)))


def test_pr_auc_steps_over_equals_at_once() -> None:
    # Thresholds 0.9, 0.8, 0.7 (three rows), 0.3, 0.2: recall 1/4, 1/4, 3/4, 3/4, 1.
    wanted = 1 / 4 * 1 + 2 / 4 * 3 / 5 + 1 / 4 * 4 / 7
    assert metrics.pr_auc(LIKES, SCORES) == pytest.approx(wanted)
    assert metrics.pr_auc(LIKES, np.zeros(8)) == pytest.approx(0.5)
    assert np.isnan(metrics.pr_auc(np.zeros(3), np.ones(3)))


def test_the_deviation_of_an_auc_is_that_of_resampling() -> None:
    dice = np.random.default_rng(0)
    labels = (dice.random(2000) < 0.5).astype(np.float64)
    scores = labels + dice.standard_normal(2000)
    drawn = []
    for _ in range(200):
        rows = dice.integers(0, 2000, 2000)
        drawn.append(metrics.roc_auc(labels[rows], scores[rows]))
    own = metrics.auc_deviation(labels, metrics.roc_auc(labels, scores))
    assert own == pytest.approx(np.std(drawn), rel=0.2)


def test_log_loss_of_a_certain_mistake_is_finite() -> None:
    assert np.isfinite(metrics.losses(np.array([1.0, 0.0]), np.array([0.0, 1.0]))).all()
    assert metrics.all_of(LIKES, np.full(8, 0.5))["log_loss"] == pytest.approx(np.log(2))


def encoder() -> Encoder:
    known = np.zeros(8, bool)
    known[[1, 2]] = True
    return Encoder(8, 8, 5, known, known, np.zeros(7, np.float32), np.ones(7, np.float32))


def test_ids_have_buckets_of_their_own_while_there_are_some() -> None:
    assert bucket([1, 2, 7], 8).tolist() == [1, 2, 7]
    assert bucket([8, 9, 10**15], 8).min() >= 1
    # What training has not seen is index 0.
    assert encoder().user([1, 2, 3, 8]).tolist() == [1, 2, 0, 1]


def test_what_is_not_known_is_the_mean_and_counts_are_logarithms() -> None:
    raw = np.full((1, 7), np.nan)
    raw[0, NUMBERS.index("movieRatingCount")] = 99
    made = encoder().numbers(raw)[0]
    assert made[NUMBERS.index("movieRatingCount")] == pytest.approx(np.log(100))
    assert made[NUMBERS.index("userAvgRating")] == 0


def test_ranks_are_the_places_of_the_nearest(model: bundle.Model) -> None:
    found = Neighbours(model.tables.embeddings)
    liked = np.array([[1, 2, 0, 0, 0], [16, 0, 0, 0, 0], [5, 39, 0, 0, 0]])
    wanted = np.array([9, 3, 38])
    ranks = found.ranks(liked, wanted)
    for row in (0, 1):
        every = found.nearest(liked[row][liked[row] > 0], 30, np.zeros(0, np.int64)).tolist()
        assert every.index(wanted[row]) == ranks[row]
    assert ranks[0] < 14 <= ranks[1]
    assert ranks[2] == -1, "a movie without a vector is never recalled"


def saved(model: bundle.Model, folder: Path) -> Path:
    bundle.save(folder, model.encoder, model.weights, model.tables, model.popularity)
    (folder / bundle.METADATA).write_text(json.dumps(model.metadata))
    return folder


def test_a_model_survives_its_files(model: bundle.Model, tmp_path: Path) -> None:
    again = bundle.load(saved(model, tmp_path / "m"))
    assert again.encoder.user_buckets == model.encoder.user_buckets
    for name, array in model.weights.items():
        assert (again.weights[name] == array).all()
    for kind in ("users", "movies", "embeddings"):
        for name, array in dataclasses.asdict(getattr(model.tables, kind)).items():
            assert np.array_equal(getattr(getattr(again.tables, kind), name), array, equal_nan=True)
    # The same arrays are the same bytes.
    other = saved(model, tmp_path / "n")
    assert all((other / path.name).read_bytes() == path.read_bytes() for path in (tmp_path / "m").iterdir())


@pytest.mark.parametrize("name", ["network.npz", "users.npz", "metadata.json", "encoder.npz"])
def test_a_model_that_is_not_whole_is_refused_by_the_file(
    model: bundle.Model, tmp_path: Path, name: str
) -> None:
    folder = saved(model, tmp_path / "m")
    (folder / name).write_bytes((folder / name).read_bytes()[:-40][:400])
    with pytest.raises(BadModel, match=name):
        bundle.load(folder)
    (folder / name).unlink()
    with pytest.raises(BadModel, match=name):
        bundle.load(folder)
