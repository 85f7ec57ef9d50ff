"""common.job.check on Spark: each rule finds what it is for, counts it, says it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import Ran, Worker

CHECK = """
from common import job
glue = job.start()
frame = glue.read_csv("rows", "id int, size double, kind string, label int", header=True)
good = glue.check(frame, "rows")
glue.write("train", good, format="csv", partitions=1)
glue.finish()
"""


def run(worker: Worker, folder: Path, rows: list[str], rules: dict[str, Any], script: str = CHECK) -> Ran:
    (folder / "rows").mkdir(exist_ok=True)
    (folder / "rows" / "a.csv").write_text("id,size,kind,label\n" + "\n".join(rows) + "\n")
    ran = worker.run(folder, script, rules)
    assert ran.error == "", ran.error
    return ran


def plain(count: int = 100) -> list[str]:
    return [f"{i},{i % 7}.5,{'ab'[i % 2]},{i % 3}" for i in range(count)]


def test_each_rule_counts_its_rows_and_quarantine_says_which(worker: Worker, tmp_path: Path) -> None:
    rows = [*plain(), "100,99,a,0", "101,-1,b,0", "102,1,zebra,0", "103,NaN,a,1", "104,,a,1", "105,77,x,"]
    columns = {
        "size": {"minimum": 0, "maximum": 10, "type": "double", "nulls": 0.005},
        "kind": {"allowed": ["a", "b"], "pattern": "[a-z]+"},
        "label": {"required": True},
    }
    ran = run(worker, tmp_path, rows, {"rows": {"bad_share": 0.1, "columns": columns}})
    counted = {c["rule"]: c["measured"] for c in ran.read("quality.json")["frames"]["rows"]["checks"]}
    assert counted["size.maximum"] == 3, "99, 77, and NaN, which is within no range"
    assert counted["size.minimum"] == 2 and counted["kind.allowed"] == 2 and counted["label.required"] == 1
    assert counted["kind.pattern"] == 0 and counted["malformed"] == 0
    assert counted["bad_rows"] == 5, "a row that breaks two rules is one row"
    reasons = {row["id"]: row["_reason"] for row in ran.rows("quarantine/rows")}
    assert reasons[100] == "size 99.0 > maximum 10"
    assert reasons[105] == "size 77.0 > maximum 10; kind x is not allowed; label null is required"
    assert 104 not in reasons, "a missing value breaks no rule about values"
    nulls = ran.check("rows", "size.nulls")
    assert nulls["measured"] == pytest.approx(1 / 101, abs=1e-5) and nulls["passed"] is False
    assert "size.nulls: 0.99% of the values, allowed 0.50%" in ran.read("quality.json")["reasons"][0]


def test_a_rules_own_limit_counts_for_it(worker: Worker, tmp_path: Path) -> None:
    rows = [*plain(), "100,99,a,0", "101,1,zebra,0"]
    columns = {"size": {"maximum": 10, "bad_rows": 0}, "kind": {"allowed": ["a", "b"], "bad_rows": 1}}
    ran = run(worker, tmp_path, rows, {"rows": {"bad_share": 0.1, "columns": columns}})
    assert [ran.check("rows", r)["passed"] for r in ("size.maximum", "kind.allowed")] == [False, True]
    (reason,) = ran.read("transform.json")["quality"]["reasons"]
    assert reason == (
        "rows: size.maximum: 1 of 102 rows (0.98%), allowed 0 rows, such as: size 99.0 > maximum 10 "
        f"({tmp_path}/rows/a.csv, line 102)"
    )


def test_of_rows_with_one_key_one_stays_and_it_is_the_same_one(worker: Worker, tmp_path: Path) -> None:
    rows = [*plain(), "3,1.5,b,1", "3,2.5,a,2", "4,99,a,2"]
    rules = {"rows": {"bad_share": 0.1, "key": ["id"], "columns": {"size": {"maximum": 10}}}}
    ran = run(worker, tmp_path, rows, rules)
    assert ran.check("rows", "duplicate")["measured"] == 2
    kept = [line for line in ran.lines("train") if line.startswith(("3,", "4,"))]
    reasons = [row["_reason"] for row in ran.rows("quarantine/rows")]
    assert sorted(reasons) == ['duplicate of {"id":3}', 'duplicate of {"id":3}', "size 99.0 > maximum 10"]
    assert len(kept) == 2 and "4,4.5,a,1" in kept, "a bad row makes no duplicate of a good one"
    again = run(worker, tmp_path, list(reversed(rows)), rules)
    assert [line for line in again.lines("train") if line.startswith("3,")] == [
        line for line in kept if line.startswith("3,")
    ]


def test_columns_and_types_and_sizes_are_told(worker: Worker, tmp_path: Path) -> None:
    rules = {
        "rows": {
            "minimum_rows": 1000,
            "columns": {"size": {"type": "int"}, "mood": {"required": True}, "/i.*/": {"maximum": 50}},
        }
    }
    ran = run(worker, tmp_path, plain(), rules)
    said = ran.read("quality.json")["reasons"]
    assert said[0] == "rows: schema: size is double, expected int"
    assert said[1] == "rows: schema: no column mood; there are id, size, kind, label"
    assert any(s.startswith("rows: /i.*/.maximum: 49 of 100 rows") for s in said)
    assert any(s == "rows: rows: 51 good ones, allowed 1,000 or more" for s in said)


def test_a_feature_that_gives_the_label_away_is_named(worker: Worker, tmp_path: Path) -> None:
    """The label scaled, cut at a threshold, named; a weak feature and an identifier do not."""
    random = np.random.default_rng(7)
    rows = []
    for i in range(600):
        label = int(random.random() < 0.4)
        cut = random.random() * 0.5 + 0.5 * label
        name = f"{'yes' if label else 'no'}{i % 3}"
        weak = label if random.random() < 0.7 else 1 - label
        rows.append(f"{i},{2 * label + 1},{cut},{name},{weak},u{i},{label}")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.csv").write_text("id,scaled,cut,name,weak,user,label\n" + "\n".join(rows) + "\n")
    script = CHECK.replace(
        "id int, size double, kind string, label int",
        "id int, scaled double, cut double, name string, weak int, user string, label int",
    )
    rules = {"rows": {"label": "label", "leakage": {"correlation": 0.95, "purity": 0.99}}}
    ran = worker.run(tmp_path, script, rules)
    assert ran.error == ""
    failed = {
        (c["rule"], c["column"])
        for c in ran.read("quality.json")["frames"]["rows"]["checks"]
        if not c["passed"]
    }
    assert failed == {
        ("leakage.correlation", "scaled"),
        ("leakage.purity", "scaled"),
        ("leakage.purity", "cut"),
        ("leakage.purity", "name"),
    }
    weak = ran.check("rows", "leakage.purity", "weak")
    assert 0.6 < weak["measured"] < 0.8
    assert any(
        "scaled alone tells 100.00% of the labels in label" in r for r in ran.read("quality.json")["reasons"]
    )
    ignored = {"rows": {"label": "label", "leakage": {"purity": 0.99, "ignore": ["scaled", "cut", "name"]}}}
    assert worker.run(tmp_path, script, ignored).read("quality.json")["passed"] is True


def test_frames_that_share_keys_are_told_apart(worker: Worker, tmp_path: Path) -> None:
    script = """
    from common import job
    glue = job.start()
    frame = glue.read_csv("rows", "id int, size double, kind string, label int", header=True)
    glue.write("train", frame.where("id < 80"))
    glue.write("validation", frame.where("id >= {at}"))
    glue.finish()
    """
    rules = {"train": {}, "validation": {"apart_from": ["train"], "apart_key": ["id"]}}
    ran = run(worker, tmp_path, plain(), rules, script.format(at=80))
    assert ran.read("transform.json")["datasets"].keys() == {"train", "validation"}
    ran = run(worker, tmp_path, plain(), rules, script.format(at=75))
    (reason,) = ran.read("quality.json")["reasons"]
    assert reason.startswith("validation: leakage: 5 rows of validation have a key (id) of train, allowed 0")
    assert ran.read("transform.json")["datasets"] == {}


def test_many_columns_are_one_array_and_the_label_is_not_among_them(worker: Worker, tmp_path: Path) -> None:
    names = [f"p{i}" for i in range(110)]
    (tmp_path / "rows").mkdir()
    lines = [
        ",".join(["id", *names]),
        *(",".join([str(i % 2), *(str(i * j % 9) for j in range(110))]) for i in range(40)),
    ]
    (tmp_path / "rows" / "a.csv").write_text("\n".join(lines) + "\n")
    schema = ", ".join(f"{name} int" for name in ["id", *names])
    script = CHECK.replace("id int, size double, kind string, label int", schema)
    columns = {"/p[0-9]+/": {"maximum": 7, "bad_share": 1.0}}
    rules = {"rows": {"bad_share": 1.0, "label": "id", "leakage": {"purity": 1.0}, "columns": columns}}
    ran = worker.run(tmp_path, script, rules)
    assert ran.error == ""
    assert re.fullmatch(r"p\d+ 8 > maximum 7", ran.check("rows", "/p[0-9]+/.maximum")["example"])
    assert ran.check("rows", "/p[0-9]+/.maximum")["measured"] == sum(
        any(i * j % 9 == 8 for j in range(110)) for i in range(40)
    )
    profile = ran.read("profile.json")["frames"]["rows"]["columns"]
    assert sorted(profile) == ["id", "numbers[max]", "numbers[mean]", "numbers[min]"]


def test_rules_that_a_column_cannot_be_asked_are_told_and_not_passed_over(
    worker: Worker, tmp_path: Path
) -> None:
    columns = {"kind": {"minimum": 1}, "size": {"width": 3}, "label": {"maximum": 5}}
    ran = run(worker, tmp_path, plain(), {"rows": {"columns": columns}})
    assert ran.read("quality.json")["reasons"] == [
        "rows: schema: kind is string, and its minimum is about numbers",
        "rows: schema: size is double, and its width is about arrays",
    ]
    assert ran.check("rows", "label.maximum")["passed"] is True


def test_a_pattern_that_java_does_not_know_is_named(worker: Worker, tmp_path: Path) -> None:
    """Python's named groups are written otherwise in Java."""
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.csv").write_text("id,size,kind,label\n" + "\n".join(plain()) + "\n")
    rules = {"rows": {"columns": {"kind": {"pattern": "(?P<letter>[a-z])"}}}}
    error = worker.run(tmp_path, CHECK, rules).error
    assert error.startswith("ScriptError: kind.pattern: '(?P<letter>[a-z])' is no regular expression of Java")
    assert len(error) < 400 and "\n" not in error


def test_rules_that_nobody_applies_are_an_error(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.csv").write_text("id,size,kind,label\n" + "\n".join(plain()) + "\n")
    ran = worker.run(tmp_path, CHECK, {"trian": {"minimum_rows": 5}})
    assert ran.error.startswith("ScriptError: ") and "rules for trian" in ran.error
    assert not (ran.place / "transform.json").exists()


def test_the_profile_is_that_of_the_good_rows(worker: Worker, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    sizes = random.gamma(2.0, 3.0, 5000)
    rows = [f"{i},{v!r},{'abcd'[i % 4] if i % 10 else ''},{i % 3}" for i, v in enumerate(sizes.tolist())]
    rows[17] = "17,1e9,a,0"
    rules = {"rows": {"columns": {"size": {"maximum": 1000}}}}
    ran = run(worker, tmp_path, rows, rules)
    profile = ran.read("profile.json")["frames"]["rows"]
    good = np.delete(sizes, 17)
    size = profile["columns"]["size"]
    assert profile["rows"] == 4999 and size["count"] == 4999 and size["nulls"] == 0
    assert size["mean"] == pytest.approx(good.mean()) and size["max"] == pytest.approx(good.max())
    # Each quantile is a value whose rank is right within the promise of percentile_approx.
    ranks = np.searchsorted(np.sort(good), size["quantiles"]) / 4999
    assert np.abs(ranks - np.linspace(0, 1, 101)).max() < 0.002
    kind = profile["columns"]["kind"]
    assert kind["nulls"] == 500 and kind["others"] == 0 and sum(n for _, n in kind["top"]) == 4499
    assert [name for name, _ in kind["top"]] == ["d", "b", "a", "c"] or len(kind["top"]) == 4
