"""A workflow given as a file: what is read, what is refused and where, and on which line its parts are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings.workflow import lines, read

TEXT = """{
  "StartAt": "A",
  "States": {
    "A": {"Type": "Pass",
          "Next": "B \\" {"},
    "B \\" {": {
      "Type": "Choice",
      "Choices": [
        {"Variable": "$.x", "NumericEquals": -1.5e3, "Next": "A"},

        {"Variable": "$.y", "IsNull": true, "Next": "C"}
      ]
    },
    "C": {"Type": "Succeed"}
  }
}
"""


def test_each_part_is_on_its_line() -> None:
    found = lines(TEXT)
    assert found[()] == 1
    assert found["StartAt",] == 2
    assert found["States", "A"] == 4
    assert found["States", "A", "Next"] == 5
    assert found["States", 'B " {', "Choices", 0] == 9
    assert found["States", 'B " {', "Choices", 1, "IsNull"] == 11
    assert found["States", "C", "Type"] == 14
    # Every value of the document is known, and nothing else.
    count = 0
    waiting = [json.loads(TEXT)]
    while waiting:
        each = waiting.pop()
        count += 1
        waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list) else []
    assert len(found) == count


@pytest.mark.parametrize("text", ["[]", "{}", '"a"', '[1, [2, {}], {\n"a": []}]', ' {"a" : -1 }'])
def test_any_json_has_lines(text: str) -> None:
    assert lines(text)[()] == 1


def test_what_is_at_no_line_of_its_own_is_where_the_nearest_is(tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    file.write_text(TEXT)
    given = read(file)
    assert given.label == str(file)
    assert given.asl == json.loads(TEXT)
    assert given.line(("States", "A", "Retry", 0)) == 4
    assert given.line(("States", "C", "Type")) == 14
    again = tmp_path / "again.json"
    again.write_text(json.dumps(json.loads(TEXT)))
    assert read(again).sha256 == given.sha256, "how it is written does not count"


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ('{\n "StartAt": "A",,\n}', ":2:17", "no JSON"),
        ("[1]", "", "no state machine"),
        ('{"States": {}}', "", "StartAt is missing"),
        ('{"StartAt": "A", "States": [1]}', "", "no state machine"),
        ('{"StartAt": "A",\n"States": {"A": {},\n"A": {}}}', ":3", "'A' is there twice"),
        ('{"StartAt": "A",\n"States": {"A": {"Seconds": NaN}}}', ":2", "NaN is no JSON"),
    ],
)
def test_what_is_no_workflow_is_refused_with_its_place(
    tmp_path: Path, text: str, where: str, what: str
) -> None:
    file = tmp_path / "flow.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=what) as refused:
        read(file)
    assert refused.value.where == f"{file}{where}"


def test_a_file_that_is_not_there_is_told_with_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="file not found") as refused:
        read(tmp_path / "none.json")
    assert "render NAME --asl-only" in refused.value.hint
