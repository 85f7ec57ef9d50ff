"""What preprocess learns, from which rows, and how a row becomes the model's numbers; without XGBoost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from big_mart_program import columns, encoder, fitting, parts, preparing, table
from big_mart_program.columns import Arguments
from big_mart_program.encoder import BadFeatures, BadValue, Encoder
from big_mart_program.table import Table
from script_mode import Folders, ProgramError, StopFlag

GIVEN = {
    "LABEL": "sales",
    "GROUP": "store",
    "NUMBERS": "price,seen",
    "CATEGORIES": "kind,store",
    "ZERO_IS_MISSING": "seen",
    "SPELLINGS": "kind:lf=low fat,LF=low fat",
    "KEY": "id,store",
}
HEADER = "id,price,seen,kind,store,sales"


def given(**changes: str) -> list[str]:
    return [text for name, value in {**GIVEN, **changes}.items() if value for text in (f"--{name}", value)]


def rows(count: int = 300, extra: Callable[[int], str] | None = None) -> str:
    lines = [HEADER]
    for n in range(count):
        kind = ("low fat", "LF", "lf", "regular", "")[n % 5]
        price = extra(n) if extra else f"{10 + n % 7}"
        lines.append(
            f"i{n},{price},{0 if n % 4 == 0 else 0.5 + n % 3},{kind},s{n % 3},{100 * (n % 3) + n % 7}"
        )
    return "\n".join(lines) + "\n"


def read(folder: Path, text: str, arguments: Arguments) -> Table:
    (folder / "raw").mkdir(exist_ok=True)
    (folder / "raw" / "rows.csv").write_text(text)
    return table.read(folder / "raw", "raw", arguments.label, arguments.named)


@pytest.fixture
def arguments() -> Arguments:
    return columns.parse(given())


@pytest.fixture
def fitted(tmp_path: Path, arguments: Arguments) -> tuple[Table, dict[str, list[int]], Encoder]:
    raw = read(tmp_path, rows(), arguments)
    found = parts.split(raw, arguments)
    return raw, found, fitting.fit(raw, found["train"], arguments)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"LABEL": ""}, "required: --LABEL"),
        ({"NUMBERS": "price,sales"}, "sales is the label"),
        ({"CATEGORIES": "kind,price"}, "price is named twice"),
        ({"ZERO_IS_MISSING": "other"}, "other of ZERO_IS_MISSING is not among NUMBERS"),
        ({"SPELLINGS": "price:a=b"}, "price of SPELLINGS is not among CATEGORIES"),
        ({"SPELLINGS": "kind=a"}, "is not <column>:<found>=<meant>"),
        ({"TEST_SHARE": "0.9"}, "less than 1 together"),
        ({"NUMBER": "price"}, "unrecognized arguments: --NUMBER"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(changes: dict[str, str], says: str) -> None:
    with pytest.raises(ProgramError, match="arguments of preprocess") as refused:
        columns.parse(given(**changes))
    assert says in str(refused.value)


def test_the_parts_are_apart_and_a_row_keeps_its_part_as_the_data_grows(
    tmp_path: Path, arguments: Arguments
) -> None:
    small, large = (read(tmp_path, rows(count), arguments) for count in (200, 300))
    before, after = parts.split(small, arguments), parts.split(large, arguments)
    assert sorted(row for found in after.values() for row in found) == list(range(300))
    for name in parts.PARTS:
        assert [row for row in after[name] if row < 200] == before[name]
    assert 30 < len(after["test"]) < 90 and 30 < len(after["validation"]) < 90


def test_by_time_the_latest_are_held_out(tmp_path: Path) -> None:
    arguments = columns.parse(given(TIME="seen", ZERO_IS_MISSING="", NUMBERS="price"))
    text = HEADER + "\n" + "".join(f"i{n},1,{n},a,s,1\n" for n in range(10))
    assert parts.split(read(tmp_path, text, arguments), arguments) == {
        "train": [0, 1, 2, 3, 4, 5],
        "validation": [6, 7],
        "test": [8, 9],
    }


def test_what_is_learnt_is_learnt_from_training_rows_alone(
    tmp_path: Path, arguments: Arguments, fitted: tuple[Table, dict[str, list[int]], Encoder]
) -> None:
    _, found, own = fitted
    strange = {*found["test"], *found["validation"]}
    text = rows(extra=lambda n: "99999" if n in strange else f"{10 + n % 7}").splitlines()
    for n in strange:
        cells = text[n + 1].split(",")
        text[n + 1] = ",".join([*cells[:3], "never seen", cells[4], "123456"])
    raw = read(tmp_path, "\n".join(text) + "\n", arguments)
    assert parts.split(raw, arguments) == found
    assert fitting.fit(raw, found["train"], arguments) == own


def test_an_encoder_that_differs_from_scikit_learn_is_no_encoder(
    tmp_path: Path, arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = read(tmp_path, rows(), arguments)
    honest = Encoder.row
    monkeypatch.setattr(Encoder, "row", lambda self, cells: [*honest(self, cells)[:-1], 2.0])
    with pytest.raises(ProgramError, match=r"row 1 of the data: the encoder makes .* scikit-learn"):
        fitting.fit(raw, parts.split(raw, arguments)["train"], arguments)


def test_a_row_becomes_numbers_and_levels(fitted: tuple[Table, dict[str, list[int]], Encoder]) -> None:
    _, _, own = fitted
    assert own.levels["kind"] == ("(none)", "low fat", "regular")
    assert own.names == [
        *("price", "seen", "kind=(none)", "kind=low fat", "kind=regular", "store=s0", "store=s1", "store=s2")
    ]
    assert own.row(["x", "12", "2.5", "LF", "s1"]) == [12, 2.5, 0, 1, 0, 0, 1, 0]
    # Missing, or 0 where that means the same: the median of the training rows; an unknown level is none.
    middle = own.medians
    assert own.row(["x", "", "0", "", "s9"]) == [middle["price"], middle["seen"], 1, 0, 0, 0, 0, 0]
    assert own.unknown(["x", "", "", "odd", "s9"]) == {"kind": "odd", "store": "s9"}
    assert own.column_of(6) == "store" and own.column_of(0) == "price"
    with pytest.raises(BadValue, match="price is 'cheap', which is no number"):
        own.row(["x", "cheap", "", "", ""])


def test_the_baseline_is_the_training_mean_of_the_group(
    fitted: tuple[Table, dict[str, list[int]], Encoder],
) -> None:
    raw, found, own = fitted
    of_one = [raw.labels[row] for row in found["train"] if raw.rows[row][4] == "s1"]
    assert own.baseline(["x", "", "", "", "s1"]) == pytest.approx(sum(of_one) / len(of_one))
    everything = [raw.labels[row] for row in found["train"]]
    assert own.baseline(["x", "", "", "", "s9"]) == pytest.approx(sum(everything) / len(everything))


def test_features_json_gives_the_same_encoder_back(
    fitted: tuple[Table, dict[str, list[int]], Encoder],
) -> None:
    _, _, own = fitted
    again, about = encoder.loads(own.as_json({"rows": {"train": 1}}))
    assert again == own and about["rows"] == {"train": 1}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "of format 2"),
        ({"medians": None}, "cannot be read"),
        ({"medians": {"price": float("nan")}}, "not finite"),
        ({"columns": ["id"]}, "a column that it does not name"),
    ],
)
def test_features_that_cannot_be_used_are_refused(
    fitted: tuple[Table, dict[str, list[int]], Encoder], change: dict[str, object], says: str
) -> None:
    found = {**json.loads(fitted[2].as_json({})), **change}
    with pytest.raises(BadFeatures, match=says):
        encoder.loads(json.dumps(found))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (rows().replace("price", "prize", 1), "raw/rows.csv has no column price; it has id, prize"),
        (rows().replace("sales", "kind", 1), "has no column sales"),
        (rows()[:-1], "ends in the midst of a line"),
        (rows() + "i1,2,3\n", "line 302: 3 cells, 6 are expected"),
        (rows() + "i1,1,1,a,s,many\n", "line 302: sales is 'many', which is no number"),
        (rows() + "i1,1,1,a,s,inf\n", "line 302: sales is 'inf'"),
        (HEADER + "\n", "holds no rows"),
        (rows(extra=lambda n: "cheap" if n == 7 else "1"), "price"),
    ],
)
def test_bad_data_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    folders = Folders(tmp_path)
    (folders.processing / "raw").mkdir(parents=True)
    (folders.processing / "raw" / "rows.csv").write_text(text)
    with pytest.raises(ProgramError) as refused:
        preparing.prepare(folders, given(), StopFlag())
    assert says in str(refused.value)
    assert not (folders.processing / "output").exists()


def test_the_receipt_names_every_file_of_the_datasets(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    (folders.processing / "raw").mkdir(parents=True)
    (folders.processing / "raw" / "rows.csv").write_text(rows())
    preparing.prepare(folders, given(), StopFlag())
    output = folders.processing / "output"
    receipt = json.loads((output / "transform.json").read_text())
    assert set(receipt["datasets"]) == {"train", "validation", "test", "model"}
    named = {path: size for each in receipt["datasets"].values() for path, size in each["files"].items()}
    there = {p.relative_to(output).as_posix(): p.stat().st_size for p in output.rglob("*") if p.is_file()}
    assert named == {path: size for path, size in there.items() if path != "transform.json"}
    counts = {name: each["rows"] for name, each in receipt["datasets"].items()}
    assert counts["train"] + counts["validation"] + counts["test"] == 300
    # Trained on: the label first, no header. Held out: as it came, with its header.
    assert (output / "train" / "train.csv").read_text().splitlines()[0].count(",") == 8
    assert (output / "test" / "test.csv").read_text().splitlines()[0] == HEADER
