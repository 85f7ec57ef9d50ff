"""Every error a user is meant to read.

    PipelineError
    ├── SettingsError      the desired state is not valid (exit 2)
    ├── DefinitionError    a pipeline's definition cannot be rendered (exit 2)
    ├── CheckError         a rule found something wrong (exit 2)
    ├── TargetError        AWS or the local target cannot be reached or refused (exit 3)
    ├── ApplyError         a change was started and did not complete (exit 4)
    └── ExecutionError     a run ended other than well (exit 1)

Each says where, what and how to mend it. The CLI prints it without a traceback; `--debug` shows one.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Base of all errors shown to a user.

    Args:
        what: one sentence, what is wrong, with the value that is.
        where: file, key, state or resource it is about; may be empty.
        hint: what to do about it, ending in a command where there is one; may be empty.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class ErrorGroup(PipelineError):
    """Several errors found together, so that a user mends them in one go."""

    def __init__(self, errors: list[PipelineError]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = errors
        self.exit_code = errors[0].exit_code if errors else 1

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class SettingsError(PipelineError):
    """The desired state is not valid."""

    exit_code = 2


class DefinitionError(PipelineError):
    """A pipeline's definition cannot be rendered."""

    exit_code = 2


class CheckError(PipelineError):
    """A rule found something wrong."""

    exit_code = 2


class TargetError(PipelineError):
    """AWS, or the local target, cannot be reached or refused."""

    exit_code = 3


class ApplyError(PipelineError):
    """A change was started and did not complete."""

    exit_code = 4


class ExecutionError(PipelineError):
    """A run ended other than well."""

    exit_code = 1
