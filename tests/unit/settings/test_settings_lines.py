"""The line of every key, for each way TOML has of writing one."""

from __future__ import annotations

from pathlib import Path

from pipeline.settings.toml_file import read

TEXT = '''\
# a comment with = and [brackets]
title = "a # is no comment" # this is
[a.b]            # 3
"odd = key" = 1
multi = """
[not.a.table]
also = "no key"
""quoted\\"""" "
"""
after = 'lit # eral'
[[list]]
x = 1
[list.sub]
y = { p = 1, q = [
  { r = "}" },
  { r = 2 },   # ] comment
] }
[[list]]
x = 2
[list.sub]
y = 1
[c]
dotted.key.deep = true
long = [
  "one",
  [ "two", "three" ],
]
date = 2026-01-02T03:04:05Z
'''


def test_lines_of_all_forms(tmp_path: Path) -> None:
    text = TEXT.replace('""quoted\\"""" "\n', '""quoted\\" "\n')
    path = tmp_path / "x.toml"
    path.write_text(text)
    file = read(path, "x.toml")
    lines = text.splitlines()

    def at(needle: str, nth: int = 1) -> int:
        return [number for number, line in enumerate(lines, 1) if needle in line][nth - 1]

    assert file.lines[("title",)] == 2
    assert file.lines[("a", "b")] == 3
    assert file.lines[("a", "b", "odd = key")] == 4
    assert file.lines[("a", "b", "multi")] == 5
    assert ("not",) not in file.lines and ("a", "b", "also") not in file.lines
    assert file.lines[("a", "b", "after")] == at("after =")
    assert file.lines[("list", 0, "x")] == at("x = 1")
    assert file.lines[("list", 1, "x")] == at("x = 2")
    assert file.lines[("list", 1, "sub", "y")] == at("y = 1")
    assert file.lines[("list", 0, "sub", "y", "p")] == at("y = {")
    assert file.lines[("list", 0, "sub", "y", "q", 1, "r")] == at("{ r = 2 }")
    assert file.lines[("c", "dotted", "key", "deep")] == at("dotted.key.deep")
    assert file.lines[("c", "long", 1, 0)] == at('[ "two"')
    assert file.lines[("c", "date")] == at("date =")
    assert file.line(("c", "long", 1, 9, "z")) == at('[ "two"'), "a missing key is at its nearest table"
