"""Filters, batches and joins of batch transform, without a model."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from pipeline.local.sagemaker.transform_path import BadPath, compiled
from pipeline.local.sagemaker.transform_records import BadRecord, Batch, Plan, format_of

DOCUMENT: Any = {"id": 7, "features": {"x": [10, 11, 12, 13], "kind": "a"}, "tags": [{"n": 1}, {"n": 2}]}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", DOCUMENT),
        ("$.id", 7),
        ("$.features.x", [10, 11, 12, 13]),
        ("$.features.x[1]", 11),
        ("$.features.x[-1]", 13),
        ("$.features.x[0,2]", [10, 12]),
        # The developer guide: a slice takes all between two values, inclusive.
        ("$.features.x[1:2]", [11, 12]),
        ("$.features.x[:1]", [10, 11]),
        ("$.features.x[2:]", [12, 13]),
        ("$.features.x[0,2:]", [10, 12, 13]),
        ("$['id','features']", {"id": 7, "features": DOCUMENT["features"]}),
        ("$.features.['x','kind']", DOCUMENT["features"]),
        ("$.tags[*].n", [1, 2]),
        ("$.features.*", [[10, 11, 12, 13], "a"]),
    ],
)
def test_the_documented_paths(path: str, found: Any) -> None:
    assert compiled(path).of(DOCUMENT) == found


@pytest.mark.parametrize("path", ["id", "$..id", "$.x[?(@.a)]", "$.x[", "$[a]", "$.x[1:2:3]", "$id", ""])
def test_what_is_none_of_the_subset(path: str) -> None:
    with pytest.raises(BadPath):
        compiled(path)


@pytest.mark.parametrize(
    "path", ["$.none", "$.features.x[4]", "$.id.x", "$.features[0]", "$.features.x[1:9]"]
)
def test_a_path_that_meets_nothing_is_an_error(path: str) -> None:
    with pytest.raises(BadPath):
        compiled(path).of(DOCUMENT)


def plan(**changes: Any) -> Plan:
    given: dict[str, Any] = {"lines": True, "single": False, "limit": 0, "newline": True, "kind": "csv"}
    return Plan(**(given | changes))


def payloads(made: Plan, content: bytes) -> list[bytes]:
    return [batch.payload for batch in made.batches(io.BytesIO(content))]


def test_lines_fill_payloads_up_to_the_limit() -> None:
    assert payloads(plan(), b"1,2\n3,4\r\n\n5,6") == [b"1,2\n3,4\n5,6\n"]
    assert payloads(plan(limit=8), b"1,2\n3,4\n5,6\n") == [b"1,2\n3,4\n", b"5,6\n"]
    assert payloads(plan(single=True), b"1,2\n3,4\n") == [b"1,2\n", b"3,4\n"]
    assert payloads(plan(lines=False), b"1,2\n3,4") == [b"1,2\n3,4"]
    assert payloads(plan(), b"") == payloads(plan(lines=False), b"") == []
    with pytest.raises(BadRecord, match="a record of 12 bytes"):
        payloads(plan(limit=8), b"1,2\n3,4,5,6,7,8\n")
    with pytest.raises(BadRecord, match="the object of 12 bytes"):
        payloads(plan(limit=8, lines=False), b"1,2,3,4,5,6,")


def test_filters_apply_to_each_record_and_keep_csv_quoted() -> None:
    assert payloads(plan(before=compiled("$[1:]")), b'id,"a, b",3\n') == [b'"a, b",3\n']
    made = plan(kind="jsonlines", before=compiled("$.features"))
    assert payloads(made, b'{"id": 1, "features": [1, "\xc3\xa4"]}\n') == ['[1,"ä"]\n'.encode()]
    with pytest.raises(BadRecord, match="InputFilter"):
        payloads(plan(before=compiled("$[5]")), b"1,2\n")
    with pytest.raises(BadRecord, match="no JSON"):
        payloads(made, b"{\n")


def batch(*records: bytes) -> Batch:
    return Batch(list(records), b"")


def test_answers_without_a_join_pass_as_they_are() -> None:
    assert plan().output(batch(b"1"), b"2.0", "text/csv") == b"2.0\n"
    assert plan().output(batch(b"1"), b"2.0\n", "text/csv") == b"2.0\n"
    assert plan(newline=False).output(batch(b"1"), b"\x00\x01", "image/png") == b"\x00\x01"


def test_joins_of_csv_append_the_answer() -> None:
    joined = plan(join=True)
    assert (
        joined.output(batch(b"1,2,3", b"4,5,6"), b"a\nb\n", "text/csv; charset=utf-8")
        == b"1,2,3,a\n4,5,6,b\n"
    )
    chosen = plan(join=True, after=compiled("$[0,-1]"))
    assert chosen.output(batch(b"1,2,3"), b"a,b", "text/csv") == b"1,b\n"
    with pytest.raises(BadRecord, match="answered 1 records for 2"):
        joined.output(batch(b"1", b"2"), b"a\n", "text/csv")
    with pytest.raises(BadRecord, match="both must be of one format"):
        joined.output(batch(b"1"), b"{}", "application/json")
    with pytest.raises(BadRecord, match="OutputFilter"):
        plan(join=True, after=compiled("$[9]")).output(batch(b"1"), b"a", "text/csv")


def test_joins_of_json_add_a_member_or_wrap_what_is_no_object() -> None:
    joined = plan(kind="jsonlines", join=True)
    made = joined.output(batch(b'{"key": 1}', b"[1]"), b'{"label":1}\n{"label":2}\n', "application/jsonlines")
    assert [json.loads(line) for line in made.splitlines()] == [
        {"key": 1, "SageMakerOutput": {"label": 1}},
        {"SageMakerInput": [1], "SageMakerOutput": {"label": 2}},
    ]
    whole = plan(kind="json", lines=False, newline=False, join=True)
    made = whole.output(batch(b'{\n"key": 1}'), b'{\n"label": 1\n}', "application/json")
    assert json.loads(made) == {"key": 1, "SageMakerOutput": {"label": 1}}


def test_formats() -> None:
    assert format_of("text/csv; header=absent") == "csv"
    assert format_of("application/jsonlines") == "jsonlines"
    assert format_of("application/x-npy") == ""
