"""The ways a state can fail, and which names in Retry and Catch match them.

Fault           raised deep inside a state (a path, a template); knows neither state nor event
StateFailure    a failure with Step Functions' error name and cause; Retry and Catch see it
Stopped         not a failure: the execution (or a sibling branch) ended and this line must stop (cancel.py)
"""

from __future__ import annotations

from collections.abc import Sequence

RUNTIME = "States.Runtime"
TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
TASK_FAILED = "States.TaskFailed"
ALL = "States.ALL"
DATA_LIMIT = "States.DataLimitExceeded"
QUERY_EVALUATION = "States.QueryEvaluationError"


class Fault(Exception):
    """A state's own data processing failed; `state_failure` gives it AWS's sentence around it.

    Args:
        message: what is wrong, as AWS words it, without the state.
        error: the error name it becomes. States.Runtime ends the execution whatever Catch says.
        location: the state's field, told in the EvaluationFailed event of JSONata states.
    """

    def __init__(self, message: str, *, error: str = RUNTIME, location: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.error = error
        self.location = location

    def state_failure(self, state: str, entered_id: int) -> StateFailure:
        prefix = (
            f"An error occurred while executing the state '{state}' (entered at the event id #{entered_id}). "
        )
        return StateFailure(self.error, prefix + self.message)


class StateFailure(Exception):
    """A failed state: `error` and `cause` as in the execution history; either may be None (a bare Fail)."""

    def __init__(
        self, error: str | None, cause: str | None = None, *, heartbeat: bool = False, absent: str | None = ""
    ) -> None:
        super().__init__(f"{error}: {cause}")
        self._absent = absent
        self.error = error
        self.cause = cause
        self.heartbeat = heartbeat

    @property
    def terminal(self) -> bool:
        """AWS: a States.Runtime error is not retriable and always fails the execution."""
        return self.error == RUNTIME

    def output(self) -> dict[str, str | None]:
        """What a Catch passes on. AWS binds an empty string where there is no error or cause, but null for a
        SendTaskFailure without them."""
        named = {"Error": self.error, "Cause": self.cause}
        return {key: self._absent if value is None else value for key, value in named.items()}

    def details(self) -> dict[str, str]:
        """Fields of a failure event; absent ones are left out, as AWS does."""
        pairs = {"error": self.error, "cause": self.cause}
        return {key: value for key, value in pairs.items() if value is not None}


def too_large(what: str) -> str:
    """The cause of States.DataLimitExceeded; `what` is a state, a service or a Lambda ARN."""
    return (
        f"The state/task '{what}' returned a result with a size exceeding "
        "the maximum number of bytes service limit."
    )


def matches(names: Sequence[str], failure: StateFailure) -> bool:
    """Whether a Retry's or Catch's ErrorEquals covers the failure.

    States.ALL is every error but the terminal ones; States.TaskFailed is every one but States.Timeout. A
    missed heartbeat is reported as States.Timeout and answers to States.HeartbeatTimeout as well.
    """
    if failure.terminal:
        return False
    if ALL in names or (failure.error or "") in names:
        return True
    if failure.heartbeat and HEARTBEAT_TIMEOUT in names:
        return True
    return TASK_FAILED in names and failure.error != TIMEOUT
