"""Running the rules: places in the user's files, the cache, what is silenced, and every output format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import caches
from pipeline.check import registry, report, rules_page, runner
from pipeline.check.rule import Finding, Hit, Rule
from pipeline.check.runner import Result
from pipeline.check.sources import Sources
from pipeline.check.subject import Subject
from pipeline.errors import DefinitionError, ErrorGroup, SettingsError
from pipeline.settings import load
from pipeline.settings.model import Settings

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A pipeline in a folder of its own: a definition that names Train, a block, a template, a function."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for label, text in {
        "pipeline.toml": (
            '[project]\nname = "shop"\n[environments.dev]\naccount = "111111111111"\nregion = "eu-west-1"\n'
        ),
        "pipeline/definitions/sales/settings.toml": (
            'container = "sales"\n[data.channels.train]\nprefix = "a"\n[data.channels.test]\nprefix = "b"\n'
            'use = "evaluate"\n[[gate]]\nmetric = "rmse"\nmaximum = 1\n[smoke]\nbody = "1"\n'
        ),
        "pipeline/definitions/sales/definition.py": "# one\n\ndef define():\n    return Task('Train')\n",
        "pipeline/steps/deploy.py": "x = 1\nname = 'Deploy'\n",
        "pipeline/render/machine.py": "\nTHING = 'StateMachine'\n",
        "pipeline/lambdas/check_data/handler.py": "",
        "cloudformation/account.yaml": "Resources:\n  Bucket:\n    Type: AWS::S3::Bucket\n",
    }.items():
        path = tmp_path / label
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load(tmp_path, "sales")


@pytest.mark.parametrize(
    ("hit", "expected"),
    [
        (("asl", ("States", "Train", "Retry")), ("pipeline/definitions/sales/definition.py", 4)),
        (("asl", ("States", "P", "Branches", 0, "States", "Deploy")), ("pipeline/steps/deploy.py", 2)),
        (("asl", ("StartAt",)), ("pipeline/definitions/sales/definition.py", None)),
        (("template", ("Resources", "Bucket", "Type")), ("cloudformation/account.yaml", 2)),
        (("template", ("Resources", "StateMachine")), ("pipeline/render/machine.py", 2)),
        (("template", ("Resources", "CheckDataRole")), ("pipeline/lambdas/check_data/handler.py", None)),
        (("settings", ("gate", 0, "metric")), ("pipeline/definitions/sales/settings.toml", 8)),
        (("file", ("x.env", 3)), ("x.env", 3)),
    ],
)
def test_a_place_is_traced_to_the_users_file(
    settings: Settings, hit: tuple[str, tuple[str | int, ...]], expected: tuple[str, int | None]
) -> None:
    sources = Sources(settings.root, settings.name)
    assert sources.locate(Hit(hit[0], hit[1], "m", "f")) == expected  # type: ignore[arg-type]


def subject(**changes: object) -> Subject:
    asl = {"StartAt": "Train", "States": {"Train": {"Type": "Pass", "Next": "Nowhere"}}}
    return Subject(name="sales", asl=asl, **changes)  # type: ignore[arg-type]


def test_the_second_check_is_remembered_until_something_changes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = runner._remembered(subject(), settings, [])
    assert not first.cached
    assert {f.rule for f in first.findings} >= {"ML107"}
    calls: list[Subject] = []
    counting = Rule("ML107", "r", "https://x", "error", lambda s: (calls.append(s), iter(()))[1])
    monkeypatch.setattr(registry, "rules", lambda: [counting])
    again = runner._remembered(subject(), settings, [])
    assert again.cached and again.findings == first.findings and not calls
    assert not runner._remembered(subject(files={"a": "b"}), settings, []).cached
    assert len(calls) == 1


def test_a_transition_to_nowhere_is_told_alone(settings: Settings) -> None:
    asl = {
        "StartAt": "Train",
        "States": {
            "Train": {"Type": "Pass", "Next": "Choose"},
            "Choose": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "Train"}],
                "Default": "Nirvana",
            },
            "Notify": {"Type": "Succeed"},
        },
    }
    found = runner.findings(Subject(name="sales", asl=asl), Sources(settings.root, "sales"))
    # Neither that the others go round for ever nor that nothing leads to the last follows from it.
    assert {(each.rule, "Nirvana" in each.message) for each in found} == {("ML001", True), ("ML107", True)}
    asl["States"]["Choose"]["Default"] = "Train"  # type: ignore[index]
    found = runner.findings(Subject(name="sales", asl=asl), Sources(settings.root, "sales"))
    assert {each.rule for each in found} == {"ML001", "ML106", "ML108"}


def test_a_cache_file_cut_off_is_no_result(settings: Settings) -> None:
    first = runner._remembered(subject(), settings, [])
    for file in caches.folder("check").iterdir():
        file.write_text(file.read_text()[:-10])
    again = runner._remembered(subject(), settings, [])
    assert not again.cached and again.findings == first.findings


def test_what_cannot_be_read_is_told_like_a_finding(settings: Settings) -> None:
    group = ErrorGroup(
        [
            SettingsError("0 is too small", where="pipeline.toml:3: environments.dev.x", hint="set 1"),
            DefinitionError("no define()", where="state Train"),
        ]
    )
    first, second = runner.unreadable(settings.root, "sales", "dev", group).findings
    assert (first.rule, first.file, first.line, first.place) == (
        "ML000",
        "pipeline.toml",
        3,
        "environments.dev.x",
    )
    assert (first.message, first.fix) == ("0 is too small", "set 1")
    assert (second.file, second.place) == ("pipeline/definitions/sales/definition.py", "state Train")


def test_findings_are_silenced_by_rule_or_by_a_validators_id(settings: Settings) -> None:
    found = runner._remembered(subject(), settings, []).findings
    silenced = runner._remembered(subject(), settings, ["ML107: known and accepted"]).findings
    assert {f.rule for f in found} - {f.rule for f in silenced} == {"ML107"}
    foreign = finding(message="E3012 something")
    assert runner._silence([foreign], ["E3012: the type is right"], settings) == []
    with pytest.raises(SettingsError, match="no rule is called 'ML999'"):
        runner._silence([], ["ML999: no such rule"], settings)


def finding(**changes: object) -> Finding:
    values: dict[str, object] = {
        "rule": "ML107",
        "severity": "error",
        "place": "States.Train.Next",
        "message": "100% wrong,\nreally",
        "fix": "mend it",
        "file": "pipeline/definitions/sales/definition.py",
        "line": 4,
        "pipeline": "sales",
        "environment": "dev",
    }
    return Finding(**{**values, **changes})  # type: ignore[arg-type]


RESULTS = [
    Result("sales", "dev", [finding(), finding(rule="ML305", severity="warning", line=None)], 0.5, False),
    Result("iris", "dev", [], 0.1, True),
]


def test_people_see_where_what_and_how_to_mend_it() -> None:
    text = report.human(RESULTS)
    assert "pipeline/definitions/sales/definition.py:4: error ML107 at States.Train.Next" in text
    assert "fix: mend it" in text
    assert "sales in dev: 1 errors, 1 warnings, 0.5 s" in text
    assert "iris in dev: clean, unchanged since the last check" in text


def test_json_holds_every_finding() -> None:
    data = json.loads(report.as_json(RESULTS))
    assert (data["errors"], data["warnings"]) == (1, 1)
    assert data["findings"][0]["file"].endswith("definition.py")
    assert [each["cached"] for each in data["checked"]] == [False, True]


def test_github_annotations_are_escaped() -> None:
    first, second = report.github(RESULTS).splitlines()
    assert first.startswith("::error file=pipeline/definitions/sales/definition.py,line=4,title=ML107::")
    assert "100%25 wrong,%0Areally" in first
    assert second.startswith("::warning ") and "line=1" in second


def test_sarif_has_what_code_scanning_asks_for() -> None:
    log = json.loads(report.sarif(RESULTS))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert ids == [rule.id for rule in registry.listed()]
    assert len(run["results"]) == 2
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning") and result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        assert not place["artifactLocation"]["uri"].startswith("/")
        assert place.get("region", {"startLine": 1})["startLine"] >= 1
    prints = {result["partialFingerprints"]["finding/v1"] for result in run["results"]}
    assert len(prints) == 2


def test_the_reference_page_lists_every_rule_and_is_up_to_date() -> None:
    page = rules_page()
    assert all(f"| {rule.id} | {rule.reason} |" in page for rule in registry.listed())
    assert (ROOT / "docs/reference/rules.md").read_text() == page, "run: make docs"
