"""`pipeline check` on a copy of this repository: clean as it is, and failing for what is broken in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli import main

ROOT = Path(__file__).resolve().parents[3]
DEFINITION = Path("pipeline/definitions/iris")


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["check", *arguments])
    return code, capsys.readouterr().out


@pytest.mark.slow
def test_this_repository_is_clean_in_every_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)  # a check changes nothing but its own cache
    code, out = check(capsys, "--all-environments", "--strict", "--json")
    report = json.loads(out)
    assert report["findings"] == []
    assert code == 0
    checked = {(each["pipeline"], each["environment"]) for each in report["checked"]}
    assert checked >= {
        ("iris", "dev"),
        ("iris", "staging"),
        ("iris", "production"),
        ("account", "production"),
    }
    code, out = check(capsys, "--all-environments")
    assert code == 0 and out.count("unchanged since the last check") == len(checked)


@pytest.mark.slow
def test_what_is_broken_fails_with_its_place(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository)
    leak = "https://hooks.slack" + ".com/services/" + "T00000000/B00000000/XXXXXXXXXXXXXXXX"
    (repository / DEFINITION / "notes.md").write_text(f"# how to\n\npost to {leak}\n")
    code, out = check(capsys, "iris", "--format", "github")
    assert code == 2
    assert out.startswith(f"::error file={DEFINITION}/notes.md,line=3,title=ML501::") and out.count("\n") == 1
    assert leak not in out
    code, out = check(capsys, "iris", "--format", "sarif")
    assert code == 2
    assert [result["ruleId"] for result in json.loads(out)["runs"][0]["results"]] == ["ML501"]

    settings = repository / DEFINITION / "settings.toml"
    settings.write_text(settings.read_text().replace("minimum = 0.88", "minimum = nan"))
    code, out = check(capsys, "--json")
    assert code == 2
    (found,) = json.loads(out)["findings"]
    assert (found["rule"], found["place"]) == ("ML000", "gate[0].minimum")
    assert found["file"] == f"{DEFINITION}/settings.toml"


def test_the_rules_are_listed_without_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out = check(capsys, "--list-rules")
    assert code == 0 and "ML401" in out and "RULE" in out
    code, out = check(capsys, "--list-rules", "--json")
    assert {"id", "severity", "reason", "source"} == set(json.loads(out)[0])
