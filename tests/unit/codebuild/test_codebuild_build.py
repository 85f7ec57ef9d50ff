"""A buildspec as CodeBuild carries it out: shells, phases, failures, variables."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.local.codebuild import build
from pipeline.local.codebuild.interrupt import STOPPED, TIMED_OUT, Interrupt
from pipeline.local.codebuild.spec import parse

VARIABLES = {"PATH": "/usr/bin:/bin"}


def run(text: str, folder: Path, **given: object) -> tuple[build.Built, list[str]]:
    log: list[str] = []
    built = build.run(parse(textwrap.dedent(text)), folder, VARIABLES, log.append, **given)  # type: ignore[arg-type]
    return built, [line for line in log if not line.startswith(("Running command", "Phase complete"))]


def test_one_shell_lives_through_all_phases_of_version_0_2(tmp_path: Path) -> None:
    spec = """
    version: {}
    env: {{variables: {{GREETING: "$HOME is not expanded"}}, exported-variables: [FOUND]}}
    phases:
      install: {{commands: ["mkdir -p inner && cd inner", "export FOUND=yes 'QUOTED=a \\"b\\"'"]}}
      build: {{commands: ["echo ${{FOUND:-no}} $(basename $PWD)", 'echo "$GREETING"', "cat"]}}
    """
    built, log = run(spec.format("0.2"), tmp_path)
    assert built.status == "SUCCEEDED" and built.exported == {"FOUND": "yes"}
    assert log == ["yes inner", "$HOME is not expanded"]
    built, log = run(spec.format("0.1"), tmp_path)
    assert log[0] == f"no {tmp_path.name}", "each command of 0.1 has a shell of its own"


@pytest.mark.parametrize(
    ("failing", "ran", "status"),
    [
        ("install", ["install-finally"], {"INSTALL": "FAILED"}),
        ("pre_build", ["install", "install-finally"], {"INSTALL": "SUCCEEDED", "PRE_BUILD": "FAILED"}),
        ("build", ["install", "install-finally", "pre_build", "post_build 0"], None),
        (None, ["install", "install-finally", "pre_build", "build", "post_build 1"], None),
    ],
)
def test_what_still_runs_after_a_failure(
    tmp_path: Path, failing: str | None, ran: list[str], status: dict[str, str] | None
) -> None:
    phases = {
        "install": '{commands: ["echo install"], finally: ["echo install-finally"]}',
        "pre_build": '{commands: ["echo pre_build"]}',
        "build": '{commands: ["echo build"]}',
        "post_build": '{commands: ["echo post_build $CODEBUILD_BUILD_SUCCEEDING"]}',
    }
    if failing:
        phases[failing] = phases[failing].replace('commands: ["', 'commands: ["exit 3", "')
    text = "version: 0.2\nphases:\n" + "".join(f"  {name}: {value}\n" for name, value in phases.items())
    built, log = run(text, tmp_path)
    assert log == ran
    assert built.status == ("FAILED" if failing else "SUCCEEDED")
    if status:
        assert {phase.name: phase.status for phase in built.phases} == status
    if failing:
        broken = next(phase for phase in built.phases if phase.status == "FAILED")
        assert "exit 3. Reason: exit status 3" in broken.context


def test_a_phase_that_may_fail_and_one_that_is_stopped(tmp_path: Path) -> None:
    text = """
    version: 0.2
    phases:
      pre_build: {on-failure: CONTINUE, commands: ["false", "echo never"]}
      build: {commands: ["echo built"]}
    """
    built, log = run(text, tmp_path)
    assert log == ["built"] and built.status == "SUCCEEDED" and "false" in built.phases[0].context
    interrupt = Interrupt()
    interrupt.ask(STOPPED)
    interrupt.ask(TIMED_OUT)  # the first reason holds
    built, log = run(text, tmp_path, interrupt=interrupt)
    assert log == [] and built.status == "STOPPED" and len(built.phases) == 1


def test_secrets_and_parameters_are_looked_up(tmp_path: Path) -> None:
    text = """
    version: 0.2
    env: {secrets-manager: {TOKEN: "app:key"}, parameter-store: {PLACE: /app/place}}
    phases: {build: {commands: ["echo $TOKEN $PLACE"]}}
    """
    _, log = run(text, tmp_path, secret=lambda name: f"secret of {name}", parameter=str.upper)
    assert log == ["secret of app:key /APP/PLACE"]
    built, log = run(text, tmp_path)
    assert log == [] and built.phases[0].name == "DOWNLOAD_SOURCE" and built.status == "FAILED"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 0.3\nphases: {}", "version 0.3 is not known"),
        ("version: 0.2\nphase: {}", "unknown key 'phase'"),
        ("version: 0.2\nphases: {test: {commands: [a]}}", "unknown key 'test'"),
        ("version: 0.2\nphases: {build: {comands: [a]}}", "unknown key 'comands'"),
        ("version: 0.2\nphases: {build: {commands: a}}", "must be a list"),
        ("version: 0.2\nphases: {build: {}}", "has no commands"),
        ("version: 0.2\nphases: {build: {commands: [a], on-failure: RETRY}}", "on-failure 'RETRY'"),
        ("[", "is not YAML"),
    ],
)
def test_a_bad_buildspec_is_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse(text)
