"""A build carried out as CodeBuild does: phases in their order, what fails and what still runs.

https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.local.codebuild.interrupt import STOPPED, TIMED_OUT, Interrupt
from pipeline.local.codebuild.shell import Log, Shell
from pipeline.local.codebuild.spec import Phase, Spec

# Whether the build has been well so far; CodeBuild sets it before each phase.
SUCCEEDING = "CODEBUILD_BUILD_SUCCEEDING"
# A build whose install or pre_build failed ends there; after a failed build, post_build still runs.
_GOES_ON = frozenset({"build", "post_build"})


@dataclass(frozen=True)
class PhaseResult:
    """How a phase ended.

    Args:
        status: SUCCEEDED, FAILED, STOPPED or TIMED_OUT.
        context: CodeBuild's code and words for a failure; empty for none.
    """

    name: str
    status: str
    seconds: float
    context: str = ""


@dataclass
class Built:
    """A whole build: its phases and the variables that it exports."""

    phases: list[PhaseResult] = field(default_factory=list)
    exported: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """SUCCEEDED, or what the first phase that did not succeed says."""
        return next((p.status for p in self.phases if p.status != "SUCCEEDED"), "SUCCEEDED")


def run(
    spec: Spec,
    folder: Path,
    variables: Mapping[str, str],
    log: Log,
    *,
    parameter: Callable[[str], str] | None = None,
    secret: Callable[[str], str] | None = None,
    interrupt: Interrupt | None = None,
    began: Callable[[str], None] = lambda _: None,
) -> Built:
    """Run every phase of `spec` in `folder`.

    Args:
        variables: the build's environment: CODEBUILD_*, the project's own, credentials. They go before those
            of the buildspec, as a project's overrides do.
        parameter, secret: look up a name of Parameter Store, an `id:key` of Secrets Manager; they raise
            LookupError with CodeBuild's words.
        interrupt: through which another thread may end it.
        began: told the name of each phase as it begins.
    """
    built = Built()
    interrupt = interrupt or Interrupt()
    given = {**spec.variables, **variables, "CODEBUILD_SRC_DIR": str(folder), SUCCEEDING: "1"}
    for names, look in ((spec.parameters, parameter), (spec.secrets, secret)):
        for name, where in names.items():
            try:
                if look is None:
                    raise LookupError(f"{where} cannot be read")
                given[name] = look(where)
            except LookupError as error:
                built.phases.append(
                    PhaseResult("DOWNLOAD_SOURCE", "FAILED", 0.0, f"CLIENT_ERROR: {error.args[0]}")
                )
                return built
    with ExitStack() as stack:

        def opened() -> Shell:
            shell = stack.enter_context(Shell(spec.shell, folder, given, log))
            return stack.enter_context(interrupt.over(shell))

        shell = opened()
        for phase in spec.phases:
            succeeding = built.status == "SUCCEEDED"
            if not succeeding and not _goes_on(built, phase):
                continue
            began(phase.name.upper())
            if not shell.lives or not spec.one_shell:
                shell = opened()
            shell.run(f"export {SUCCEEDING}={int(succeeding)}")
            built.phases.append(_phase(spec, phase, shell, folder, given, log, interrupt))
        if not interrupt.why:
            built.exported = {name: _value(shell, name, folder) for name in spec.exported}
    return built


def _goes_on(built: Built, phase: Phase) -> bool:
    """Whether a phase runs although an earlier one failed."""
    last = built.phases[-1]
    if last.status in (STOPPED, TIMED_OUT):
        return False
    return phase.name == "post_build" and last.name.lower() in _GOES_ON


def _phase(
    spec: Spec,
    phase: Phase,
    shell: Shell,
    folder: Path,
    given: Mapping[str, str],
    log: Log,
    interrupt: Interrupt,
) -> PhaseResult:
    began, failed, name = time.monotonic(), "", phase.name.upper()
    for commands in (phase.commands, phase.last):
        for command in commands:
            code = 0
            if not interrupt.why:
                log(f"Running command {command}")
                code = _one(spec, command, shell, folder, given, log, interrupt)
            if interrupt.why:
                why = "BUILD_STOPPED" if interrupt.why == STOPPED else "BUILD_TIMED_OUT: Build has timed out."
                log(f"Phase complete: {name} State: {interrupt.why}")
                return PhaseResult(name, interrupt.why, time.monotonic() - began, why)
            if code:
                why = f"Error while executing command: {command}. Reason: exit status {code}"
                failed = failed or f"COMMAND_EXECUTION_ERROR: {why}"
                break
    status = "FAILED" if failed and phase.on_failure == "ABORT" else "SUCCEEDED"
    log(f"Phase complete: {name} State: {status}")
    return PhaseResult(name, status, time.monotonic() - began, failed)


def _one(
    spec: Spec,
    command: str,
    shell: Shell,
    folder: Path,
    given: Mapping[str, str],
    log: Log,
    interrupt: Interrupt,
) -> int:
    if spec.one_shell and shell.lives:
        return shell.run(command)
    with Shell(spec.shell, folder, given, log) as own, interrupt.over(own):
        return own.run(command)


def _value(shell: Shell, name: str, folder: Path) -> str:
    """A variable of the shell's, through a file: the channel of codes carries numbers only."""
    place = folder / f".codebuild-{name}"
    try:
        shell.run(f'printf %s "${{{name}}}" > "$CODEBUILD_SRC_DIR/.codebuild-{name}"')
        return place.read_text(encoding="utf-8") if place.exists() else ""
    finally:
        place.unlink(missing_ok=True)
