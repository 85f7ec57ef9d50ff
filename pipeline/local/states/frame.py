"""Where an execution stands: the run all lines share, and the frame of one line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.local.states.cancel import Scope
from pipeline.local.states.clock import now_iso
from pipeline.local.states.errors import QUERY_EVALUATION, Fault, StateFailure
from pipeline.local.states.history import Line
from pipeline.local.states.jsontext import dumps
from pipeline.local.states.paths import Env
from pipeline.local.states.query import JSONATA


@dataclass(frozen=True)
class Run:
    """What every line of one execution shares.

    Args:
        record: MiniStack's record of the execution (arn, status, input, events).
        role_arn: the state machine's role; every task is called with its session's credentials.
        scale: factor on Wait states and retry intervals (clock.wait_scale).
    """

    record: dict[str, Any]
    role_arn: str
    account: str
    region: str
    scale: float

    @property
    def arn(self) -> str:
        return str(self.record["executionArn"])


@dataclass
class Frame:
    """One line of an execution: its scope, its chain of events, its variables and context object."""

    run: Run
    scope: Scope
    line: Line
    context: dict[str, Any]
    variables: dict[str, Any] = field(default_factory=dict)
    language: str = "JSONPath"
    state: str = ""
    entered: int = 0

    def branch(self, last: int | None = None, **context: Any) -> Frame:
        """A child line; it reads the variables of its parent, its own assignments stay its own."""
        line = self.line.branch()
        if last is not None:
            line.last = last
        return Frame(
            self.run,
            Scope(self.scope),
            line,
            {**self.context, **context},
            dict(self.variables),
            self.language,
        )

    def enter(self, kind: str, name: str, text: str) -> None:
        """Record the state's entry and put it into the context object."""
        self.state = name
        # Replaced, never changed: a state may have passed the context object itself on as data.
        self.context = {**self.context, "State": {"Name": name, "EnteredTime": now_iso()}}
        self.entered = self.line.entered(kind, name, text)

    def note(self, **members: Any) -> None:
        """Set members of the context object, e.g. Task; None removes one."""
        merged = {**self.context, **members}
        self.context = {key: value for key, value in merged.items() if value is not None}

    def is_jsonata(self, state: dict[str, Any]) -> bool:
        return bool(state.get("QueryLanguage", self.language) == JSONATA)

    def env(self, data: Any, *, result: Any = None, error_output: Any = None) -> Env:
        return Env(data, self.context, self.variables, result, error_output)

    def assign(self, values: dict[str, Any]) -> dict[str, str]:
        """Set variables; returns them as the exit event shows them."""
        self.variables.update(values)
        return {name: dumps(value) for name, value in values.items()}

    def failure(self, fault: Fault) -> StateFailure:
        """The fault as this state's failure, recorded as EvaluationFailed where JSONata is to blame."""
        failure = fault.state_failure(self.state, self.entered)
        if fault.error == QUERY_EVALUATION:
            details = {**failure.details(), "state": self.state}
            if fault.location:
                details["location"] = fault.location
            self.line.add("EvaluationFailed", details)
        return failure
