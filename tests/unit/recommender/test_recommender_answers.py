"""What the recommender's endpoint says to which request, from the body to the answer's bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from recommender_program import answers, bundle, questions
from recommender_program.encoding import GENRE_BUCKETS, Inputs
from recommender_program.ranker import Ranker
from recommender_program.scoring import Network
from serving import RequestError


@pytest.fixture(scope="module")
def ranker(model: bundle.Model) -> Ranker:
    return Ranker(model)


def ask(ranker: Ranker, body: Any, kind: str = "application/json", accept: str = "application/json") -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    found = answers.answer(ranker, questions.read(text, kind))
    said = answers.write(ranker, found, answers.choose_type(accept)).decode()
    return json.loads(said) if accept == "application/json" else said


def naive(model: bundle.Model, inputs: Inputs) -> Any:
    """The network as Keras has it: all parts side by side through the layers."""
    w = model.weights
    tables = np.arange(8) * GENRE_BUCKETS
    deep = np.concatenate(
        [
            w["user_embedding"][inputs.user],
            w["movie_embedding"][inputs.movie],
            w["genre_embedding"][inputs.genres + tables].reshape(len(inputs.user), -1),
            inputs.numbers,
        ],
        axis=1,
    )
    deep = np.maximum(deep @ w["deep_1_kernel"] + w["deep_1_bias"], 0)
    deep = np.maximum(deep @ w["deep_2_kernel"] + w["deep_2_bias"], 0)
    score = deep @ w["deep_out_kernel"] + w["deep_out_bias"] + w["wide"][inputs.cross]
    return 1 / (1 + np.exp(-score[:, 0]))


def test_the_folded_network_is_the_network(model: bundle.Model) -> None:
    dice = np.random.default_rng(1)
    inputs = Inputs(
        dice.integers(0, 16, 50).astype(np.int32),
        dice.integers(0, 64, 50).astype(np.int32),
        dice.integers(0, 97, 50).astype(np.int32),
        dice.integers(0, GENRE_BUCKETS, (50, 8)).astype(np.int32),
        dice.standard_normal((50, 7)).astype(np.float32),
    )
    assert Network(model.weights).predict(inputs) == pytest.approx(naive(model, inputs), abs=1e-5)


def test_pairs_in_all_three_forms_say_the_same(ranker: Ranker) -> None:
    rows = [[1, 5], [2, 5], [900, 7]]
    wanted = [item["probability"] for item in ask(ranker, {"instances": rows})["predictions"]]
    assert len(set(wanted)) == 3
    assert all(0 < value < 1 for value in wanted)
    objects = [{"user": user, "movie": movie} for user, movie in rows]
    assert [item["probability"] for item in ask(ranker, objects)["predictions"]] == wanted
    lines = ask(ranker, "1,5\n2,5\n\n900,7\n", "text/csv", "text/csv").splitlines()
    assert [float(line.split(",")[2]) for line in lines] == wanted
    lines = ask(ranker, "\n".join(map(json.dumps, objects)), "application/jsonlines", "application/jsonlines")
    assert [json.loads(line)["probability"] for line in lines.splitlines()] == wanted


def test_candidates_are_ranked_by_the_probability_of_each_pair(ranker: Ranker) -> None:
    candidates = [7, 3, 40, 21, 3, 5]
    said = ask(ranker, {"user": 2, "candidates": candidates})
    alone = {
        item["movie"]: item["probability"]
        for item in ask(ranker, [[2, movie] for movie in set(candidates)])["predictions"]
    }
    wanted = sorted(alone, key=lambda movie: -alone[movie])
    assert [item["movie"] for item in said["ranking"]] == wanted
    assert [item["probability"] for item in said["ranking"]] == pytest.approx(
        [alone[movie] for movie in wanted], abs=1e-5
    )
    assert (said["by"], said["candidates"]) == ("candidates", 5)
    top = ask(ranker, {"user": 2, "candidates": candidates, "top": 2})
    assert [item["movie"] for item in top["ranking"]] == wanted[:2]


def test_recall_offers_what_is_near_to_what_the_user_liked(ranker: Ranker) -> None:
    one = ask(ranker, {"user": 1, "recall": 8, "top": 8})
    assert one["by"] == "embeddings"
    movies = {item["movie"] for item in one["ranking"]}
    assert len(movies) == 8
    assert movies <= set(range(4, 16)), "its own group, without what was liked"
    other = ask(ranker, {"user": 2, "recall": 8})
    assert {item["movie"] for item in other["ranking"]} <= set(range(18, 31))
    likely = [item["probability"] for item in one["ranking"]]
    assert likely == sorted(likely, reverse=True)


def test_recall_leaves_out_what_is_not_wanted_and_takes_likes_from_the_request(ranker: Ranker) -> None:
    said = ask(ranker, {"user": 1, "recall": 50, "top": 50, "exclude": [4, 5], "liked": [16]})
    movies = [item["movie"] for item in said["ranking"]]
    assert not {4, 5, 16} & set(movies)
    # All that have a vector; and of fewer, those near to what the request says is liked.
    assert len(movies) == 27
    few = ask(ranker, {"user": 1, "recall": 10, "liked": [16]})
    assert {item["movie"] for item in few["ranking"]} <= set(range(17, 31))


@pytest.mark.parametrize("user", [3, 4, 77])
def test_who_liked_nothing_that_has_a_vector_is_offered_what_is_popular(ranker: Ranker, user: int) -> None:
    said = ask(ranker, {"user": user, "recall": 6, "top": 6})
    assert said["by"] == "popularity"
    assert {item["movie"] for item in said["ranking"]} == set(range(1, 7))


def test_an_unknown_user_is_answered_and_said_to_be_unknown(ranker: Ranker) -> None:
    known, unknown = ask(ranker, [[1, 5], [12345, 5]])["predictions"]
    assert "cold_start" not in known
    assert unknown["cold_start"] is True
    assert 0 < unknown["probability"] < 1
    # All whom nobody knows are alike.
    assert ask(ranker, [[777, 5]])["predictions"][0]["probability"] == unknown["probability"]
    assert ask(ranker, {"user": 777, "candidates": [5]})["cold_start"] is True


def test_an_unknown_movie_is_an_error_of_its_own_and_the_others_are_answered(ranker: Ranker) -> None:
    pairs = ask(ranker, [[1, 5], [1, 4000], [1, 6]])["predictions"]
    assert pairs[1] == {"user": 1, "movie": 4000, "error": "the movie is not in the catalogue"}
    assert "probability" in pairs[0] and "probability" in pairs[2]
    said = ask(ranker, {"user": 1, "candidates": [5, 4000]})
    assert [item["movie"] for item in said["ranking"]] == [5]
    assert said["errors"] == [{"movie": 4000, "error": "the movie is not in the catalogue"}]
    assert ask(ranker, "1,4000\n", "text/csv", "text/csv") == "1,4000,\n"
    nothing = ask(ranker, {"user": 1, "candidates": [4000]})
    assert (nothing["ranking"], nothing["candidates"]) == ([], 0)


def test_features_of_the_request_go_before_those_that_are_looked_up(ranker: Ranker) -> None:
    plain, given, none = ask(
        ranker,
        [
            {"user": 1, "movie": 5},
            {"user": 1, "movie": 5, "features": {"userAvgRating": 1.0, "movieGenre1": "War"}},
            {"user": 1, "movie": 4000, "features": {"releaseYear": 1999, "movieGenre1": "Drama"}},
        ],
    )["predictions"]
    assert plain["probability"] != given["probability"]
    assert "probability" in none, "what the request says of an unknown movie is enough"
    numbers = ranker.movies.numbers[4]
    same = {"releaseYear": float(numbers[0]), "movieAvgRating": float(numbers[2])}
    again = ask(ranker, [{"user": 1, "movie": 5, "features": same}])["predictions"][0]
    assert again["probability"] == pytest.approx(plain["probability"], abs=1e-6)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "not JSON"),
        ("[]", "no question"),
        ("7", '"user": 1, "movie": 50'),
        ('{"user": 1}', "movie: nothing is no id"),
        ('{"user": "1", "movie": 5}', 'user: "1" is no id'),
        ('{"user": true, "movie": 5}', "user: true is no id"),
        ('{"user": 0, "movie": 5}', "user: 0 is no id"),
        ('{"user": 1, "film": 5}', "key 'film' is unknown; user, movie, features are read"),
        (
            '{"user": 1, "candidats": [5]}',
            "key 'candidats' is unknown; did you mean 'candidates'? user, movie",
        ),
        ('{"user": 1, "recal": 5}', "did you mean 'recall'?"),
        ('{"instance": [[1, 5]]}', "did you mean 'instances'?"),
        ('{"user": 1, "recall": 5, "tpo": 3}', "did you mean 'top'?"),
        ('{"user": 1, "movie": 5, "features": {"userAvgRatin": 5}}', "did you mean 'userAvgRating'?"),
        ('{"user": 1, "candidates": []}', "candidates is an empty list"),
        ('{"user": 1, "candidates": [5], "top": 0}', "top: 0 is no whole number"),
        ('{"user": 1, "recall": "many"}', 'recall: "many" is no whole number'),
        ('{"user": 1, "recall": 5, "candidates": [1]}', "key 'recall' is unknown"),
        ('{"user": 1, "movie": 5, "features": {"rating": 5}}', "features: key 'rating' is unknown"),
        ('{"user": 1, "movie": 5, "features": {"userAvgRating": "x"}}', "userAvgRating is a number"),
        ('{"instances": 5}', "a list and nothing beside it"),
        ("[[1, 5], [1]]", "instance 2: "),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_place(ranker: Ranker, body: str, said: str) -> None:
    with pytest.raises(RequestError) as error:
        ask(ranker, body)
    assert error.value.status == 400
    assert said in str(error.value)


@pytest.mark.parametrize(("body", "said"), [("1,2,3\n", "line 1: 3 columns"), ("1,5\nuser,movie", "line 2")])
def test_csv_that_makes_no_sense_is_refused_with_its_line(ranker: Ranker, body: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        ask(ranker, body, "text/csv")


def test_types_that_are_not_spoken_are_refused(ranker: Ranker) -> None:
    with pytest.raises(RequestError) as unread:
        ask(ranker, "1,5", "application/xml")
    with pytest.raises(RequestError) as unwritten:
        answers.choose_type("image/png")
    assert (unread.value.status, unwritten.value.status) == (415, 406)
