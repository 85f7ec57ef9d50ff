"""Data by date: dates, and labels shuffled."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from pipeline import settings as store
from pipeline.errors import SettingsError
from pipeline.execution.data import DataObject, parse_day, put, run_date, shuffle_labels
from pipeline.execution.trained import sentences
from tests.conftest import REPOSITORY

ROWS = [f"{n % 3},{n}.5,{n}.25" for n in range(30)]


def test_shuffling_moves_the_labels_and_nothing_else() -> None:
    content = ("\n".join(ROWS) + "\n").encode()
    shuffled = shuffle_labels(content, 7).decode().splitlines()
    assert shuffled != ROWS
    assert [row.split(",", 1)[1] for row in shuffled] == [row.split(",", 1)[1] for row in ROWS]
    assert sorted(row[0] for row in shuffled) == sorted(row[0] for row in ROWS)
    assert shuffle_labels(content, 7) == shuffle_labels(content, 7)
    assert shuffle_labels(content, 7) != shuffle_labels(content, 8)


def test_a_header_stays_on_top_and_another_column_can_be_the_label() -> None:
    content = "a,b,label\n" + "\n".join(f"{n},{n},{'xyz'[n % 3]}" for n in range(20))
    shuffled = shuffle_labels(content.encode(), 1, column=2).decode().splitlines()
    assert shuffled[0] == "a,b,label"
    assert [row.rsplit(",", 1)[0] for row in shuffled[1:]] == [f"{n},{n}" for n in range(20)]


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="no column 9"):
        shuffle_labels(b"1,2\n3,4\n", 1, column=9)
    assert shuffle_labels(b"", 1) == b""


def test_a_run_reads_the_day_before_it() -> None:
    assert run_date("2026-12-31") == "2027-01-01"
    assert parse_day("2026-02-28") == date(2026, 2, 28)
    assert parse_day(None) == datetime.now(UTC).date() - timedelta(days=1)
    with pytest.raises(SettingsError, match="not a date"):
        parse_day("2026-02-30")


def item(name: str, was: str) -> DataObject:
    return DataObject("train", "2026-11-20", f"s3://b/iris/train/2026-11-20/{name}", 10, "e", was)


@pytest.mark.parametrize(
    ("put_now", "beside", "trained", "told"),
    [
        ([item("a", "")], [], [], []),
        ([item("a", "same")], [], [], []),
        ([item("a", "other")], [], [], ["1 objects replaced"]),
        ([item("a", "same")], [], [4, 2], ["the same as before, and version 4, 2 was trained on it"]),
        (
            [item("a", "other"), item("b", "")],
            [],
            [4],
            ["1 objects replaced and 1 added in data that version 4"],
        ),
        ([item("a", "")], ["s3://b/old", "s3://b/older"], [], ["there besides, too: s3://b/old and 1 more"]),
    ],
)
def test_data_put_over_data_says_what_follows(
    put_now: list[DataObject], beside: list[str], trained: list[int], told: list[str]
) -> None:
    said = sentences("iris", put_now, beside, trained)
    assert len(said) == len(told)
    assert all(part in sentence for part, sentence in zip(told, said, strict=True))


def test_labels_that_only_a_transform_makes_cannot_be_shuffled_and_it_is_said() -> None:
    """Before, nothing was shuffled and nobody was told: a gate that let it through looked broken."""
    settings = store.load(REPOSITORY, "recommender", None)
    with pytest.raises(SettingsError, match="what is trained on is made by a transform") as error:
        put(settings, None, day=date(2026, 2, 28), shuffle_seed=7)  # type: ignore[arg-type]
    assert "ratings, movies" in str(error.value.hint)
