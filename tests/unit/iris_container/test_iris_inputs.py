"""Hyperparameters, data files, SageMaker's folders and checkpoints of container/iris."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from iris_program import checkpoint, contract, data, params
from iris_program.contract import Folders, ProgramError, Stopped

from pipeline.definitions.iris import make_sample

# --- hyperparameters


def test_the_originals_settings_are_accepted_as_strings() -> None:
    values = params.parse({"objective": "multiclass", "num_class": "3", "max_leaf_nodes": "5"})
    assert (values["objective"], values["num_class"], values["max_leaf_nodes"]) == ("multiclass", 3, 5)
    assert values["learning_rate"] == 0.1
    given = params.for_lightgbm(values, 2)
    assert given["num_leaves"] == 5 and given["deterministic"] and given["num_threads"] == 2
    assert "max_leaf_nodes" not in given


@pytest.mark.parametrize("raw", ['"multiclass"', "multiclass", " multiclass "])
def test_a_value_may_be_json_encoded_as_sdks_do(raw: str) -> None:
    assert params.parse({"objective": raw})["objective"] == "multiclass"


def test_what_is_not_for_the_algorithm_is_passed_over() -> None:
    params.parse({"sagemaker_job_name": '"x"', "_tuning_objective_metric": "validation:accuracy"})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ProgramError) as caught:
        params.parse(
            {"max_leaf_node": "5", "num_class": "4", "objective": "regression", "seed": "1.5", "qqq": "1"}
        )
    text = str(caught.value)
    assert len(text.splitlines()) == 5
    assert "max_leaf_node is unknown; did you mean max_leaf_nodes?" in text
    assert "num_class: 4 is not within 3 to 3" in text
    assert "objective: 'regression' is not one of multiclass, multiclassova" in text
    assert "seed: '1.5' is not a whole number" in text
    assert "qqq is unknown; known are bagging_fraction" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", "nan"),
        ("learning_rate", "inf"),
        ("learning_rate", "0"),
        ("learning_rate", "1.01"),
        ("learning_rate", "fast"),
        ("feature_fraction", "-0.5"),
        ("lambda_l1", "-1"),
        ("max_leaf_nodes", "1"),
        ("max_leaf_nodes", ""),
        ("num_boost_round", "0"),
        ("seed", "-1"),
        ("bagging_fraction", "0.5"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ProgramError, match=name):
        params.parse({name: value})


# --- data


def write(folder: Path, text: str | bytes, name: str = "iris.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def test_rows_are_read_from_all_files_below_a_folder(tmp_path: Path) -> None:
    write(tmp_path, "\ufeff0,5.1,3.5,1.4,0.2\r\n\r\n", "2026-03-01/a.csv")
    write(tmp_path, "2.0, 6,3,5,1.8\n1,5,3,4,1", "2026-03-02/b.csv")
    write(tmp_path, "rubbish", "2026-03-02/_SUCCESS")
    write(tmp_path, "rubbish", ".hidden/c.csv")
    table = data.read(tmp_path, "train")
    assert table.labels.tolist() == [0, 2, 1]
    assert table.features[1].tolist() == [6, 3, 5, 1.8]
    assert sorted(table.digests) == ["train/2026-03-01/a.csv", "train/2026-03-02/b.csv"]
    assert data.class_counts(table) == {"setosa": 1, "versicolor": 1, "virginica": 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("label,a,b,c,d\n0,1,2,3,4", "line 1: class 'label' is not a number; the file must have no header"),
        ("0,1,2,3", "line 1: 4 columns, 5 expected"),
        ("0,1,2,3,4\n1,1,2,3,4,5", "line 2: 6 columns"),
        ("3,1,2,3,4", "class 3 is not one of 0 to 2"),
        ("0.5,1,2,3,4", "class 0.5"),
        ("-1,1,2,3,4", "class -1"),
        ("nan,1,2,3,4", "class nan"),
        ("0,1,,3,4", "sepal_width_cm '' is not a number"),
        ("0,1,2,nan,4", "petal_length_cm nan is not finite"),
        ("0,1,2,3,inf", "petal_width_cm inf is not finite"),
        ("\n\n", "holds no rows"),
        (b"\xff\xfe0,1", "not UTF-8"),
    ],
)
def test_bad_data_names_file_line_and_column(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(ProgramError) as caught:
        data.read(write(tmp_path, text), "train")
    assert problem in str(caught.value)


def test_many_problems_are_cut_to_what_sagemaker_keeps(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="and 92 more") as caught:
        data.read(write(tmp_path, "x,1,2,3,4\n" * 100), "train")
    assert len(str(caught.value)) < contract.REASON_LIMIT


@pytest.mark.parametrize("make", [False, True])
def test_an_absent_or_empty_channel_is_named(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "validation"
    if make:
        folder.mkdir()
    with pytest.raises(ProgramError, match="channel 'validation' holds no data file"):
        data.read(folder, "validation")


# --- SageMaker's side


def configured(tmp_path: Path, name: str, value: Any) -> Folders:
    folder = tmp_path / "input" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return Folders(tmp_path)


def test_folders_come_from_the_environment(tmp_path: Path) -> None:
    assert Folders.from_environment({}).model == Path("/opt/ml/model")
    folders = Folders.from_environment({"SAGEMAKER_BASE_DIR": str(tmp_path)})
    assert folders.channel("train", {}) == tmp_path / "input/data/train"
    assert folders.channel("train", {"SM_CHANNEL_TRAIN": "/x/train"}) == Path("/x/train")


def test_wrong_channels_are_told_at_once(tmp_path: Path) -> None:
    config = {"train": {"TrainingInputMode": "Pipe", "ContentType": "application/x-parquet"}, "extra": {}}
    folders = configured(tmp_path, "inputdataconfig.json", config)
    configured(tmp_path, "resourceconfig.json", {"hosts": ["algo-1", "algo-2"]})
    with pytest.raises(ProgramError) as caught:
        contract.check_channels(folders, ("train", "validation"))
    text = str(caught.value)
    assert "'train' comes in Pipe mode" in text
    assert "application/x-parquet" in text
    assert "'validation' is missing; the job has extra, train" in text
    assert "2 instances were given" in text


def test_right_channels_pass(tmp_path: Path) -> None:
    config = {name: {"TrainingInputMode": "File", "ContentType": "text/csv; label_size=1"} for name in "ab"}
    contract.check_channels(configured(tmp_path, "inputdataconfig.json", config), ("a", "b"))
    contract.check_channels(Folders(tmp_path / "none"), ("a", "b"))


@pytest.mark.parametrize("content", ["[1]", "{", '"x"'])
def test_a_broken_configuration_file_is_named(tmp_path: Path, content: str) -> None:
    folders = configured(tmp_path, "hyperparameters.json", content)
    with pytest.raises(ProgramError, match=r"hyperparameters\.json"):
        folders.read_config("hyperparameters.json")


@pytest.mark.parametrize(
    ("rows", "environ", "most"),
    [
        (60, {"SM_NUM_CPUS": "8"}, 1),
        (10**9, {"SM_NUM_CPUS": "1"}, 1),
        (10**9, {"OMP_NUM_THREADS": "1", "SM_NUM_CPUS": "64"}, 1),
        (10**9, {"SM_NUM_CPUS": "all"}, contract.available_processors()),
        (10**9, {}, contract.available_processors()),
    ],
)
def test_threads_never_exceed_what_is_given_or_useful(rows: int, environ: dict[str, str], most: int) -> None:
    assert contract.threads(rows, environ) == most


@pytest.mark.parametrize(
    ("raised", "code", "reason"),
    [
        (None, 0, None),
        (ProgramError("what is wrong"), 1, "what is wrong"),
        (KeyError("column"), 1, "KeyError: 'column'"),
        (ProgramError("x" * 5000), 1, "x" * 1024),
        (Stopped("stopped"), 128 + signal.SIGTERM, None),
    ],
)
def test_a_failure_leaves_its_reason_and_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception | None, code: int, reason: str | None
) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))

    def program(_folders: Folders) -> None:
        if raised:
            raise raised

    assert contract.run_program(program, lambda folders: folders.failure) == code
    failure = tmp_path / "output" / "failure"
    assert (failure.read_text() if failure.exists() else None) == reason


# --- checkpoints


def test_a_checkpoint_is_used_only_for_what_it_is_of(tmp_path: Path) -> None:
    mine = checkpoint.fingerprint({"seed": 7}, {"a.csv": "1"})
    assert mine != checkpoint.fingerprint({"seed": 8}, {"a.csv": "1"})
    assert mine != checkpoint.fingerprint({"seed": 7}, {"a.csv": "2"})
    assert checkpoint.load(tmp_path, mine) == (None, "no checkpoint")
    saved = checkpoint.Checkpoint(mine, 25, 20, 0.5, "tree")
    checkpoint.save(tmp_path / "made", saved)
    assert checkpoint.load(tmp_path / "made", mine)[0] == saved
    found, why = checkpoint.load(tmp_path / "made", "other")
    assert found is None and "other data or hyperparameters" in why
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["checkpoint.json"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"fingerprint": "x", "more": 1}', "\x00"])
def test_a_broken_checkpoint_is_not_used(tmp_path: Path, content: str) -> None:
    (tmp_path / "checkpoint.json").write_text(content)
    found, why = checkpoint.load(tmp_path, "x")
    assert found is None and "cannot be read" in why


# --- the committed sample


SAMPLE = Path(__file__).resolve().parents[3] / "pipeline" / "definitions" / "iris" / "sample"


def test_the_sample_is_all_of_iris_split_by_class_without_leaks() -> None:
    tables = {name: data.read(SAMPLE / name, name) for name in ("train", "validation", "test")}
    assert {name: data.class_counts(table) for name, table in tables.items()} == {
        name: dict.fromkeys(("setosa", "versicolor", "virginica"), rows)
        for name, rows in (("train", 20), ("validation", 10), ("test", 20))
    }
    rows = {name: {tuple(row) for row in table.features} for name, table in tables.items()}
    assert not rows["train"] & rows["test"]
    assert not rows["train"] & rows["validation"]
    assert not rows["validation"] & rows["test"]
    # Iris has 149 different rows; the means are those in its published description.
    assert sum(len(found) for found in rows.values()) == 149
    mean = np.concatenate([table.features for table in tables.values()]).mean(axis=0)
    assert np.allclose(mean, [5.84, 3.05, 3.76, 1.20], atol=0.01)


def test_equal_rows_never_part_when_the_sample_is_made() -> None:
    # Ten pairs of twins in each class: a split by rows would part some of them.
    features = [
        (float(label), float(n // 2 if n < 20 else n), 1.0, 1.0) for label in range(3) for n in range(50)
    ]
    labels = [label for label in range(3) for _ in range(50)]
    for seed in range(5):
        parts = make_sample.split(features, labels, seed)
        assert sorted(row for rows in parts.values() for row in rows) == list(range(150))
        of_row = {features[row]: name for name, rows in parts.items() for row in rows}
        assert all(of_row[features[row]] == name for name, rows in parts.items() for row in rows)
    assert make_sample.split(features, labels, 7) == make_sample.split(features, labels, 7)
