"""common.job on Spark: what it reads, what it refuses by the object's name, what exists when it ends."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from .conftest import Worker

SCHEMA = "user int, movie int, rating double, day date, kind string"
HEADER = "user,movie,rating,day,kind\n"
GOOD = "1,2,3.5,2020-01-01,a\n2,3,4.0,2020-01-02,b\n3,4,1.0,2020-01-03,\n"
READ = f"""
from common import job
glue = job.start()
frame = glue.read_csv("ratings", "{SCHEMA}", header=True)
glue.write("train", frame.orderBy("user"), format="csv", partitions=1, header=True)
glue.finish()
"""


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    (tmp_path / "ratings").mkdir()
    return tmp_path / "ratings"


def test_csv_becomes_a_dataset_with_its_manifest(worker: Worker, ratings: Path) -> None:
    (ratings / "a.csv").write_text(HEADER + GOOD)
    with gzip.open(ratings / "b.csv.gz", "wt") as file:
        file.write(HEADER + '4,5,2.0,2020-01-04,"a, b"\n')
    (ratings / "_SUCCESS").write_text("")
    ran = worker.run(ratings.parent, READ)
    assert ran.error == ""
    assert sorted(ran.lines("train")) == sorted(
        ["user,movie,rating,day,kind", *GOOD.split(), '4,5,2.0,2020-01-04,"a, b"']
    )
    receipt = ran.read("transform.json")
    assert receipt["fingerprint"] == "f1" and receipt["quality"] == {"passed": True, "reasons": []}
    made = receipt["datasets"]["train"]
    assert made["rows"] == 4 and made["columns"]["day"] == "date"
    prefix, *keys = ran.read("manifests/train.json")
    assert keys == [item["key"] for item in made["objects"]]
    assert [(Path(prefix["prefix"]) / key).stat().st_size for key in keys] == [
        item["bytes"] for item in made["objects"]
    ]


def test_malformed_rows_are_in_quarantine_with_the_reason(worker: Worker, ratings: Path) -> None:
    bad = "7,8\n9,10,abc,2020-01-05,a\n9,11,2,2020-13-05,a\n1,2,3,2020-01-01,a,extra\n"
    (ratings / "a.csv").write_text(HEADER + GOOD * 200 + bad)
    ran = worker.run(ratings.parent, READ)
    assert ran.error == ""
    assert ran.read("transform.json")["datasets"]["train"]["rows"] == 600
    kept = {row["_line"]: row["_reason"] for row in ran.rows("quarantine/ratings")}
    assert kept.pop("7,8") == "not 5 columns: '7,8'"
    assert kept.pop("1,2,3,2020-01-01,a,extra").startswith("not 5 columns: '1,2,3,")
    assert sorted(kept.values()) == ["day: '2020-13-05' is no date", "rating: 'abc' is no double"]
    found = ran.check("ratings", "malformed")
    assert (found["measured"], found["passed"], found["allowed"]) == (4, True, "1%")


def test_an_example_names_its_object_and_its_line(worker: Worker, ratings: Path) -> None:
    """Lines as an editor counts them: with the header, blank ones, and in an object that is read in parts."""
    (ratings / "a a.csv").write_text(HEADER + GOOD * 3)
    lines = [
        HEADER,
        GOOD * 100,
        "\n",
        GOOD * 100,
        "9,10,9,2020-01-05,a\n",
        "7,8\n",
        GOOD,
        "9,9,abc,2020-01-05,b\n",
    ]
    (ratings / "b b.csv").write_text("".join(lines))
    with gzip.open(ratings / "c.csv.gz", "wt") as file:
        file.write(HEADER + GOOD + "9,10,0.5,2020-01-05,zebra\n")
    parts = 'glue.spark.conf.set("spark.sql.files.maxPartitionBytes", "1500")'
    script = READ.replace("glue = job.start()", f"glue = job.start()\n{parts}")
    rules = {"ratings": {"columns": {"rating": {"maximum": 5}, "kind": {"pattern": "[a-y, ]+"}}}}
    ran = worker.run(ratings.parent, script, rules)
    assert ran.error == ""
    assert ran.check("ratings", "rating.maximum")["at"] == f"{ratings}/b b.csv, line 603"
    malformed = ran.check("ratings", "malformed")
    assert (malformed["example"], malformed["at"]) == ("not 5 columns: '7,8'", f"{ratings}/b b.csv, line 604")
    assert ran.check("ratings", "kind.pattern")["at"] == f"{ratings}/c.csv.gz, line 5"
    files = sorted(Path(row["_file"]).name for row in ran.rows("quarantine/ratings"))
    assert files == ["b%20b.csv", "b%20b.csv", "b%20b.csv", "c.csv.gz"]


def test_a_row_that_is_shifted_names_its_first_wrong_values(worker: Worker, ratings: Path) -> None:
    (ratings / "a.csv").write_text(HEADER + GOOD * 100 + "a,b,c,d,e\n")
    ran = worker.run(ratings.parent, READ)
    assert ran.check("ratings", "malformed")["example"] == (
        "user: 'a' is no int; movie: 'b' is no int; rating: 'c' is no double and 1 more"
    )


@pytest.mark.parametrize(("given", "taken"), [("200", "4"), ("7", "7")])
def test_little_data_is_not_cut_into_spark_s_two_hundred_parts(
    worker: Worker, ratings: Path, given: str, taken: str
) -> None:
    (ratings / "a.csv").write_text(HEADER + GOOD)
    key = "spark.sql.shuffle.partitions"
    script = f"""
    from pyspark.sql import SparkSession
    spark = SparkSession.getActiveSession()
    before = spark.conf.get("{key}")
    spark.conf.set("{key}", "{given}")
    {READ.strip().replace(chr(10), chr(10) + "    ")}
    print("parts", spark.conf.get("{key}"))
    spark.conf.set("{key}", before)
    """
    ran = worker.run(ratings.parent, script)
    assert ran.error == ""
    assert f"parts {taken}" in ran.output


def test_more_malformed_rows_than_allowed_leave_no_dataset(worker: Worker, ratings: Path) -> None:
    (ratings / "a.csv").write_text(HEADER + GOOD * 10 + "7,8\n")
    ran = worker.run(ratings.parent, READ)
    assert ran.error == "", "the gate says no, the job has done its work"
    receipt = ran.read("transform.json")
    assert receipt["datasets"] == {} and receipt["quality"]["passed"] is False
    assert "malformed: 1 of 31 rows (3.23%), allowed 1%" in receipt["quality"]["reasons"][0]
    assert not (ran.place / "manifests").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("", b"", "holds no objects"),
        ("a.csv", b"", "are empty"),
        ("a.csv", b"id,movie,rating,day,kind\n1,2,3,2020-01-01,a\n", "another header: expected user,movie"),
        ("a.csv", b"user,movie,rating\n1,2,3\n", "found user,movie,rating"),
        ("a.csv", HEADER.encode() + b"1,2\n" * 30, "has 2 columns, expected 5"),
        ("a.csv.gz", gzip.compress((HEADER + GOOD * 50000).encode(), 1)[:-4000], "is truncated"),
        ("a.csv.gz", b"plain text", "is no gzip object"),
        ("a.csv", b"PAR1\0\0\0\0\0\0", "is not text"),
    ],
)
def test_an_object_that_cannot_be_read_is_named(
    worker: Worker, ratings: Path, name: str, content: bytes, said: str
) -> None:
    if name:
        (ratings / name).write_bytes(content)
    ran = worker.run(ratings.parent, READ)
    assert ran.error.startswith("InputError: ") and said in ran.error, ran.error
    assert str(ratings / name) in ran.error
    assert not (ran.place / "transform.json").exists(), "nothing exists"
    assert not (ran.place / "manifests").exists()


def test_a_manifest_is_read_as_sagemaker_has_it(worker: Worker, ratings: Path) -> None:
    for day in ("1", "2", "3"):
        (ratings / f"{day}.csv").write_text(HEADER + GOOD)
    manifest = ratings.parent / "manifest.json"
    manifest.write_text(json.dumps([{"prefix": f"{ratings}/"}, "1.csv", "3.csv"]))
    ran = worker.run(ratings.parent, READ, RATINGS_PATH=str(manifest))
    assert ran.read("transform.json")["datasets"]["train"]["rows"] == 6
    manifest.write_text(json.dumps([{"prefix": f"{ratings}/"}, "1.csv", "4.csv"]))
    ran = worker.run(ratings.parent, READ, RATINGS_PATH=str(manifest))
    assert ran.error == f"InputError: {ratings}/4.csv does not exist"


def test_a_second_attempt_at_the_same_place_leaves_nothing_of_the_first(
    worker: Worker, ratings: Path
) -> None:
    (ratings / "a.csv").write_text(HEADER + GOOD)
    first = READ.replace("glue.finish()", "raise RuntimeError('lost')")
    ran = worker.run(ratings.parent, first)
    assert ran.error == "RuntimeError: lost"
    assert list((ran.place / "train").glob("part-*")) and not (ran.place / "transform.json").exists()
    ran = worker.run(ratings.parent, READ.replace('"train"', '"other"'))
    assert list(ran.read("transform.json")["datasets"]) == ["other"]
    assert not list((ran.place / "train").glob("part-*"))


PARQUET = """
from common import job
glue = job.start()
frame = glue.read_parquet("ratings", "user bigint, rating double")
glue.write("train", frame, partitions=2)
glue.finish()
"""
MAKE = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
frame = spark.range(1000).selectExpr("cast(id as int) as user", "{rating} as rating")
frame.coalesce(1).write.mode("overwrite").parquet("{where}")
"""


def test_parquet_is_read_with_wider_types_and_nothing_else(worker: Worker, ratings: Path) -> None:
    def made(rating: str) -> None:
        said = worker.run(ratings.parent, MAKE.format(rating=rating, where=ratings))
        assert said.error == ""

    made("id / 2")
    ran = worker.run(ratings.parent, PARQUET)
    assert ran.error == ""
    receipt = ran.read("transform.json")["datasets"]["train"]
    assert receipt["rows"] == 1000 and receipt["columns"] == {"user": "bigint", "rating": "double"}
    assert len(receipt["objects"]) == 2
    made("cast(id as string)")
    assert "column rating of" in worker.run(ratings.parent, PARQUET).error
    made("id / 2")
    whole = next(ratings.glob("*.parquet"))
    whole.write_bytes(whole.read_bytes()[:-100])
    ran = worker.run(ratings.parent, PARQUET)
    assert f"{whole} is truncated" in ran.error
    assert "no column mood" in worker.run(
        ratings.parent, PARQUET.replace("rating double", "mood double").replace("ratings", "other"),
        OTHER_PATH=str(_fresh(worker, ratings)),
    ).error  # fmt: skip


def _fresh(worker: Worker, ratings: Path) -> str:
    where = ratings.parent / "other"
    worker.run(ratings.parent, MAKE.format(rating="id / 2", where=where))
    return f"{where}/"


def test_a_wide_table_is_one_array_column(worker: Worker, ratings: Path) -> None:
    """784 pixels as columns would plan for longer than they take to read."""
    rows = [f"{i % 10}," + ",".join(str((i * j) % 256) for j in range(784)) for i in range(200)]
    (ratings / "a.csv").write_text("\n".join([*rows, "3,1,2", "4," + ",".join(["x"] + ["0"] * 783)]) + "\n")
    script = """
    from common import job
    glue = job.start()
    frame = glue.read_csv("ratings", "label int, pixels array<short>", header=False, arrays={"pixels": 784})
    frame = glue.check(frame, "ratings")
    glue.write("train", frame, format="csv", partitions=1)
    glue.finish()
    """
    rules = {
        "ratings": {
            "bad_share": 0.05,
            "columns": {"pixels": {"minimum": 0, "maximum": 254, "bad_share": 1.0}, "label": {"maximum": 9}},
        }
    }
    ran = worker.run(ratings.parent, script, rules)
    assert ran.error == ""
    reasons = sorted({row["_reason"] for row in ran.rows("quarantine/ratings")})
    assert [reason for reason in reasons if "maximum" not in reason] == [
        "3 columns, not 785",
        "pixels[0]: 'x' is no smallint",
    ]
    said = ran.check("ratings", "pixels.maximum")
    first = next(i for i in range(200) if any((i * j) % 256 == 255 for j in range(784)))
    column = next(j for j in range(784) if (first * j) % 256 == 255)
    assert said["example"] == f"pixels[{column}] 255 > maximum 254", "the value, and not the row"
    assert said["at"] == f"{ratings}/a.csv, line {first + 1}"
    bright = sum(any((i * j) % 256 == 255 for j in range(784)) for i in range(200))
    assert ran.check("ratings", "pixels.maximum")["measured"] == bright
    profile = ran.read("profile.json")["frames"]["ratings"]["columns"]
    assert sorted(profile) == ["label", "pixels[max]", "pixels[mean]", "pixels[min]"]
