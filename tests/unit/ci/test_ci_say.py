"""What is told the build service: nothing that others wrote may become a command, an output or a mask."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.ci import say


def outputs(text: str) -> dict[str, str]:
    """A file of outputs, read as the runner reads it."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, _, fence = line.partition("<<")
        value = []
        for inner in lines:
            if inner == fence:
                break
            value.append(inner)
        found[name] = "\n".join(value)
    return found


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    return tmp_path


def test_outputs_hold_text_and_data(files: Path) -> None:
    say.output("any", "true")
    say.output("plans", [{"pipeline": "iris"}])
    assert outputs((files / "output").read_text()) == {"any": "true", "plans": '[{"pipeline":"iris"}]'}


@pytest.mark.parametrize("value", ["x\nany=true", "x\nEOF\nany<<EOF\ntrue\nEOF", "any<<EOF-00\n"])
def test_a_value_cannot_begin_another_output(files: Path, value: str) -> None:
    say.output("title", value)
    say.output("last", "1")
    found = outputs((files / "output").read_text())
    assert found == {"title": value.rstrip("\n"), "last": "1"} or found == {"title": value, "last": "1"}


def test_an_outputs_name_is_a_name() -> None:
    with pytest.raises(ValueError, match="not an output's name"):
        say.output("a<<b", "x")


def test_summaries_are_added_and_cut(files: Path) -> None:
    say.summary("one")
    say.summary("x" * 2_000_000)
    text = (files / "summary").read_text()
    assert text.startswith("one\n\nx")
    assert len(text) < 1_000_000
    assert "the whole is in the artifact" in text


@pytest.mark.usefixtures("files")
def test_annotations_groups_and_masks_are_commands(capsys: pytest.CaptureFixture[str]) -> None:
    say.annotate("error", "50 % of\nit", title="a: b, c")
    say.mask("secret\nvalue")
    with say.group("plan\n::error::x"):
        print("inside")
    assert capsys.readouterr().out.splitlines() == [
        "::error title=a%3A b%2C c::50 %25 of%0Ait",
        "::add-mask::secret%0Avalue",
        "::group::plan%0A::error::x",
        "inside",
        "::endgroup::",
    ]


@pytest.mark.usefixtures("files")
def test_within_a_fence_nothing_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    with say.no_commands():
        print("::add-mask::x")
    first, inside, last = capsys.readouterr().out.splitlines()
    assert inside == "::add-mask::x"
    token = first.removeprefix("::stop-commands::")
    assert len(token) == 32
    assert last == f"::{token}::"


def test_without_github_it_is_plain_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    say.annotate("warning", "text", title="t")
    say.mask("secret")
    say.output("any", "true")
    with say.group("plan"), say.no_commands():
        print("inside")
    told = capsys.readouterr()
    assert told.err == "warning: t: text\n"
    assert told.out == "any = true\n== plan\ninside\n"
