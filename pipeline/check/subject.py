"""What rules look at: one pipeline in one environment, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pipeline.check.cloudformation import Resolver, of_type


@dataclass(frozen=True)
class Subject:
    """One pipeline in one environment.

    `files` are texts that are deployed or committed with it, by path from the root; `lambdas` maps the S3
    key of a package to the folder of its source; `boundary` are the statements of the policy that limits the
    roles.
    """

    name: str = "example"
    environment: str = "dev"
    account: str = "111111111111"
    region: str = "eu-west-1"
    stack: str = "example-dev"
    asl: dict[str, Any] = field(default_factory=dict)
    template: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    lambdas: dict[str, str] = field(default_factory=dict)
    boundary: list[dict[str, Any]] = field(default_factory=list)
    # Of the template's state machines the one whose definition `asl` is; "": the first.
    machine_name: str = ""

    @cached_property
    def resolver(self) -> Resolver:
        """Fills in the template's values for this environment."""
        return Resolver(self.template, self.account, self.region, self.stack)

    @cached_property
    def machine(self) -> tuple[str, dict[str, Any]]:
        """Logical id and properties of the state machine; ("", {}) without a template."""
        found = list(of_type(self.template, "AWS::StepFunctions::StateMachine"))
        named = [each for each in found if each[1].get("StateMachineName") == self.machine_name]
        return next(iter(named or found), ("", {}))

    @cached_property
    def substitutions(self) -> dict[str, Any]:
        """What the template puts into the definition for each `${Token}`."""
        found = self.machine[1].get("DefinitionSubstitutions")
        return found if isinstance(found, dict) else {}

    def text(self, value: Any) -> str:
        """A value of the definition or template as text, tokens and references filled in as far as known."""
        if isinstance(value, str):
            return self.resolver.text({"Fn::Sub": [value, self.substitutions]}) if "${" in value else value
        return self.resolver.text(value)
