"""features.py on Spark, against the same statistics written naively; item2vec.py on MovieLens' ratings."""

from __future__ import annotations

import json
import random
import statistics
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline import settings as store
from pipeline.execution import sample

from .conftest import REPOSITORY, Ran, Worker

SCRIPTS = REPOSITORY / "glue_scripts" / "recommender"
GENRES = ("Action", "Comedy", "Drama", "Sci-Fi", "War", "unknown")
DATASETS = ("train", "validation", "test", "users", "catalogue")
HOUR = 3600
# Parquet as JSON, which this process can read.
AS_JSON = """
import os, sys
out = sys.argv[sys.argv.index("--OUTPUT_PATH") + 1]
from pyspark.sql import SparkSession
for name in {names}:
    frame = SparkSession.builder.getOrCreate().read.parquet(f"{{out}}/{{name}}")
    frame.write.option("ignoreNullFields", "false").json(f"{{out}}/json/{{name}}")
"""

Row = dict[str, Any]


def script(name: str, *names: str) -> str:
    return (SCRIPTS / name).read_text() + AS_JSON.format(names=names)


@pytest.fixture(scope="module")
def ratings() -> list[Row]:
    """Few seconds and many ratings: most share theirs with others of the user and of the movie."""
    dice = random.Random(3)
    made = {}
    for _ in range(700):
        user, movie = dice.randint(1, 12), dice.randint(1, 30)
        at = dice.randint(0, 40) * HOUR // 2
        made[user, movie] = {
            "userId": user,
            "movieId": movie,
            "rating": float(dice.randint(1, 5)),
            "timestamp": at,
        }
    return list(made.values())


@pytest.fixture(scope="module")
def movies() -> dict[int, Row]:
    """30 movies that are rated and one that is not; some without a year."""
    dice = random.Random(4)
    return {
        movie: {
            "year": dice.choice([None, 1977, 1980, 1995]),
            "genres": dice.sample(GENRES, dice.randint(1, 4)),
        }
        for movie in range(1, 32)
    }


@pytest.fixture(scope="module")
def ran(
    worker: Worker, ratings: list[Row], movies: dict[int, Row], tmp_path_factory: pytest.TempPathFactory
) -> Ran:
    folder = tmp_path_factory.mktemp("features")
    lines = [",".join(f"{value:g}" for value in row.values()) for row in ratings]
    (folder / "ratings").mkdir()
    (folder / "ratings" / "a.csv").write_text(
        "\n".join(["userId,movieId,rating,timestamp", *lines[::2]]) + "\n"
    )
    (folder / "ratings" / "b.csv").write_text(
        "\n".join(["userId,movieId,rating,timestamp", *lines[1::2]]) + "\n"
    )
    (folder / "movies").mkdir()
    text = [f'{m},"M, {m}",{row["year"] or ""},{"|".join(row["genres"])}' for m, row in movies.items()]
    (folder / "movies" / "a.csv").write_text("\n".join(["movieId,title,releaseYear,genres", *text]) + "\n")
    made = worker.run(folder, script("features.py", *DATASETS))
    assert made.error == "", made.error
    return made


def rows_of(ran: Ran, dataset: str) -> list[Row]:
    return ran.rows(f"json/{dataset}")


# --- the same, naively


def deviation(values: list[float]) -> float | None:
    return None if not values else statistics.stdev(values) if len(values) > 1 else 0.0


def of_movie(past: list[Row]) -> Row:
    stars = [row["rating"] for row in past]
    return {
        "movieRatingCount": len(past),
        "movieAvgRating": statistics.fmean(stars) if stars else None,
        "movieRatingStddev": deviation(stars),
    }


def facts(movie: Row) -> Row:
    genres = [*movie["genres"], None, None, None]
    return {"releaseYear": movie["year"] or 1990, **{f"movieGenre{n + 1}": genres[n] for n in range(3)}}


def of_user(past: list[Row], movies: dict[int, Row]) -> Row:
    stars = [row["rating"] for row in past]
    years = [movies[row["movieId"]]["year"] or 1990 for row in past]
    likes = sorted((r for r in past if r["rating"] >= 3.5), key=lambda r: (r["timestamp"], r["movieId"]))
    latest = [row["movieId"] for row in reversed(likes)][:5]
    taste = Counter(genre for row in likes for genre in movies[row["movieId"]]["genres"])
    favourite = sorted(taste, key=lambda genre: (-taste[genre], GENRES.index(genre)))[:5]
    return {
        "userRatingCount": len(past),
        "userAvgRating": statistics.fmean(stars),
        "userRatingStddev": deviation(stars),
        "userAvgReleaseYear": int(statistics.fmean(years)),
        "userReleaseYearStddev": deviation([float(year) for year in years]),
        **{f"userRatedMovie{n + 1}": latest[n] if n < len(latest) else None for n in range(5)},
        **{f"userGenre{n + 1}": favourite[n] if n < len(favourite) else None for n in range(5)},
    }


def naive(ratings: list[Row], movies: dict[int, Row]) -> Iterator[Row]:
    for row in ratings:
        before = [other for other in ratings if other["timestamp"] < row["timestamp"]]
        own = [other for other in before if other["userId"] == row["userId"]]
        if len(own) >= 2:
            of_it = [other for other in before if other["movieId"] == row["movieId"]]
            yield {
                **row,
                "label": int(row["rating"] >= 3.5),
                **facts(movies[row["movieId"]]),
                **of_movie(of_it),
                **of_user(own, movies),
            }


def close(found: Row, wanted: Row) -> bool:
    assert set(found) == set(wanted)
    return all(
        found[name] == (pytest.approx(value, abs=1e-9) if isinstance(value, float) else value)
        for name, value in wanted.items()
    )


def test_every_sample_knows_the_past_before_its_second_and_nothing_else(
    ran: Ran, ratings: list[Row], movies: dict[int, Row]
) -> None:
    found = {(row["userId"], row["movieId"]): row for name in DATASETS[:3] for row in rows_of(ran, name)}
    wanted = {(row["userId"], row["movieId"]): row for row in naive(ratings, movies)}
    assert found.keys() == wanted.keys()
    assert [key for key in wanted if not close(found[key], wanted[key])] == []
    assert all(len(row) == 27 for row in found.values())
    # The data is such that a window by rows would have known more.
    tied = Counter((row["userId"], row["timestamp"]) for row in ratings)
    assert sum(count > 1 for count in tied.values()) > 50


def test_the_parts_follow_each_other_in_time(ran: Ran) -> None:
    hours = [{row["timestamp"] // HOUR for row in rows_of(ran, name)} for name in DATASETS[:3]]
    assert all(hours)
    assert max(hours[0]) < min(hours[1])
    assert max(hours[1]) < min(hours[2])


def test_the_tables_for_serving_know_everything(ran: Ran, ratings: list[Row], movies: dict[int, Row]) -> None:
    for row in rows_of(ran, "users"):
        user = row.pop("userId")
        assert close(row, of_user([r for r in ratings if r["userId"] == user], movies))
    catalogue = {row.pop("movieId"): row for row in rows_of(ran, "catalogue")}
    assert catalogue.keys() == movies.keys()
    for movie, row in catalogue.items():
        past = [r for r in ratings if r["movieId"] == movie]
        likes = {"movieLikes": sum(r["rating"] >= 3.5 for r in past)}
        assert close(row, {**facts(movies[movie]), **of_movie(past), **likes})


def test_the_same_data_is_the_same_files_in_order(ran: Ran) -> None:
    described = ran.read("transform.json")["datasets"]
    assert set(described) == set(DATASETS)
    for name in DATASETS[:3]:
        for part in sorted((ran.place / "json" / name).glob("part-*")):
            times = [json.loads(line)["timestamp"] for line in part.read_text().splitlines()]
            assert times == sorted(times)


def test_what_cannot_be_split_is_refused(worker: Worker, ran: Ran) -> None:
    folder = ran.place.parent / "refused"
    folder.mkdir()
    for channel in ("ratings", "movies"):
        (folder / channel).symlink_to(ran.place.parent / channel)
    refused = worker.run(folder, (SCRIPTS / "features.py").read_text(), TRAIN_SHARE="0.95")
    assert "leave some for test" in refused.error
    assert not (refused.place / "transform.json").exists()


@pytest.fixture(scope="module")
def vectors(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("item2vec")
    movielens = sample.folder(store.load(REPOSITORY, "recommender", None), lambda _: None)
    (folder / "ratings").symlink_to(movielens / "ratings")
    made = worker.run(folder, script("item2vec.py", "embeddings"))
    assert made.error == "", made.error
    return made


def test_films_that_the_same_people_like_are_neighbours(vectors: Ran) -> None:
    of = {row["movieId"]: row["vector"] for row in rows_of(vectors, "embeddings")}
    assert 900 < len(of) < 1682
    assert {len(vector) for vector in of.values()} == {10}

    def place(movie: int, near: int) -> int:
        def cosine(other: int) -> float:
            pairs = list(zip(of[near], of[other], strict=True))
            return float(sum(a * b for a, b in pairs) / sum(b * b for _, b in pairs) ** 0.5)

        return sorted((other for other in of if other != near), key=cosine, reverse=True).index(movie)

    # Star Wars and Return of the Jedi; Aladdin and Beauty and the Beast. Of 970 films, at random: one in 50.
    assert place(181, near=50) < 20
    assert place(50, near=181) < 20
    assert place(588, near=95) < 20


def test_the_text_is_the_vectors_in_the_form_of_the_original(vectors: Ran) -> None:
    of = {row["movieId"]: row["vector"] for row in rows_of(vectors, "embeddings")}
    lines = vectors.lines("embeddings_text")
    assert len(lines) == len(of)
    for line in lines:
        movie, _, numbers = line.partition(":")
        assert [float(number) for number in numbers.split(" ")] == pytest.approx(of[int(movie)], rel=1e-6)


SAME_HOUR = """
import sys
from pyspark.sql import SparkSession, functions as F
from recommender import features, item2vec
path = sys.argv[sys.argv.index("--RATINGS_PATH") + 1]
ratings = SparkSession.builder.getOrCreate().read.csv(path, header=True, schema=features.RATINGS_SCHEMA)
for share in (0.3, 0.5, 0.9):
    train, _ = features.split(ratings, ratings, [share])
    learnt = item2vec.before(ratings, share)
    print(train.count(), learnt.count(), train.exceptAll(learnt).count())
"""


def test_item2vec_learns_from_the_time_before_the_test_of_the_features(worker: Worker, ran: Ran) -> None:
    folder = ran.place.parent / "hours"
    folder.mkdir()
    (folder / "ratings").symlink_to(ran.place.parent / "ratings")
    said = worker.run(folder, SAME_HOUR)
    assert said.error == ""
    for line in said.output.splitlines():
        train, learnt, differing = map(int, line.split())
        assert train == learnt > 0
        assert differing == 0
    settings = store.load(REPOSITORY, "recommender", None).pipeline.transforms
    share = settings["features"].arguments
    ends = float(share["TRAIN_SHARE"]) + float(share["VALIDATION_SHARE"])
    assert ends == pytest.approx(float(settings["item2vec"].arguments["LEARN_SHARE"]))
