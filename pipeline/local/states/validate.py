"""Whether a definition is a state machine: JSON, fields, types, transitions. Worded as AWS words it.

CreateStateMachine, UpdateStateMachine, CloudFormation and ValidateStateMachineDefinition all ask here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.local.states import choice, integrations, intrinsics, jsonpath
from pipeline.local.states.asl import COMMON, FIELDS, JSONATA_FIELDS, JSONPATH_FIELDS, REQUIRED, TOP
from pipeline.local.states.query import JSONATA
from pipeline.local.states.taskcall import SYNC, SYNC_2, TOKEN, parse_resource

SCHEMA = "SCHEMA_VALIDATION_FAILED"
TARGET = "MISSING_TRANSITION_TARGET"


@dataclass(frozen=True)
class Diagnostic:
    """One thing wrong. `location` is a path of the definition such as /States/Train/Next."""

    code: str
    message: str
    location: str = ""

    def __str__(self) -> str:
        where = f" at {self.location}" if self.location else ""
        return f"{self.code}: {self.message}{where}"

    def answer(self) -> dict[str, str]:
        """As ValidateStateMachineDefinition answers."""
        found = {"severity": "ERROR", "code": self.code, "message": self.message}
        return {**found, "location": self.location} if self.location else found


def refusal(diagnostics: list[Diagnostic]) -> str:
    """The message of InvalidDefinition."""
    return f"Invalid State Machine Definition: '{', '.join(map(str, diagnostics))}'"


def check(text: Any, kind: str = "STANDARD") -> list[Diagnostic]:
    """Everything wrong with a definition's text; `kind` is STANDARD or EXPRESS."""
    if not isinstance(text, str) or not text.strip():
        return [Diagnostic(SCHEMA, "Definition must be a valid JSON object")]
    try:
        machine = json.loads(text)
    except ValueError as error:
        return [Diagnostic("INVALID_JSON_DESCRIPTION", str(error))]
    if not isinstance(machine, dict):
        return [Diagnostic(SCHEMA, "Definition must be a valid JSON object")]
    return list(_Machine(machine, "", kind, str(machine.get("QueryLanguage", "JSONPath"))).problems())


@dataclass(frozen=True)
class _Machine:
    """The whole, a branch or an item processor."""

    body: dict[str, Any]
    at: str
    kind: str
    language: str

    def problems(self) -> Iterator[Diagnostic]:
        missing = [name for name in ("States", "StartAt") if name not in self.body]
        if missing:
            yield Diagnostic(SCHEMA, f"These fields are required: [{', '.join(missing)}]", self.at or "/")
            return
        states = self.body["States"]
        if not isinstance(states, dict) or not states:
            yield Diagnostic(SCHEMA, "The field 'States' should be non-empty", f"{self.at}/States")
            return
        for name in sorted(set(self.body) - TOP):
            yield Diagnostic(SCHEMA, f"Field '{name}' is not supported", self.at or "/")
        for name, state in states.items():
            if isinstance(state, dict):
                yield from _State(name, state, f"{self.at}/States/{name}", self).problems()
            else:
                yield Diagnostic(SCHEMA, "Expected value of type Object", f"{self.at}/States/{name}")
        yield from self._transitions(states)

    def _transitions(self, states: dict[str, Any]) -> Iterator[Diagnostic]:
        start = self.body["StartAt"]
        if start not in states:
            yield Diagnostic(TARGET, f"Missing 'Next' target: {start}", f"{self.at}/StartAt")
        reached, todo = set(), [start]
        while todo:
            name = todo.pop()
            if name in reached or name not in states:
                continue
            reached.add(name)
            todo += [target for target, _at in _targets(states[name], "")]
        for name, state in states.items():
            for target, at in _targets(state, f"{self.at}/States/{name}"):
                if target not in states:
                    word = at.rsplit("/", 1)[-1]
                    yield Diagnostic(TARGET, f"Missing '{word}' target: {target}", at)
            if name not in reached:
                yield Diagnostic(TARGET, f'State "{name}" is not reachable.', f"{self.at}/States/{name}")
        if not any(_terminal(state) for state in states.values()):
            yield Diagnostic("MISSING_END_STATE", "State machine has no terminal state", f"{self.at}/States")


def _targets(state: Any, at: str) -> Iterator[tuple[str, str]]:
    """The states that a state can lead to, and where it says so."""
    if not isinstance(state, dict):
        return
    for field in ("Next", "Default"):
        if isinstance(state.get(field), str):
            yield state[field], f"{at}/{field}"
    for field in ("Choices", "Catch"):
        rules = state.get(field)
        for index, rule in enumerate(rules if isinstance(rules, list) else []):
            if isinstance(rule, dict) and isinstance(rule.get("Next"), str):
                yield rule["Next"], f"{at}/{field}[{index}]/Next"


def _terminal(state: Any) -> bool:
    return isinstance(state, dict) and (state.get("Type") in ("Succeed", "Fail") or state.get("End") is True)


@dataclass(frozen=True)
class _State:
    name: str
    body: dict[str, Any]
    at: str
    machine: _Machine

    def problems(self) -> Iterator[Diagnostic]:
        kind = self.body.get("Type")
        if kind is None:
            yield Diagnostic(SCHEMA, "These fields are required: [Type]", self.at)
            return
        if kind not in FIELDS:
            known = ", ".join(FIELDS)
            yield Diagnostic(
                SCHEMA, f"Value is not valid, expected one of [{known}]: {kind}", f"{self.at}/Type"
            )
            return
        if len(self.name) > 80:
            yield Diagnostic(SCHEMA, "A state's name can have at most 80 characters", self.at)
        language = self.body.get("QueryLanguage", self.machine.language)
        if self.machine.language == JSONATA and language != JSONATA:
            yield Diagnostic(
                SCHEMA,
                "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine",
                self.at,
            )
        foreign = JSONPATH_FIELDS if language == JSONATA else JSONATA_FIELDS
        for name in self.body:
            if name not in COMMON | FIELDS[kind] or name in foreign:
                yield Diagnostic(SCHEMA, f"Field '{name}' is not supported", self.at)
        yield from self._required(kind)
        yield from self._special(kind, language)

    def _required(self, kind: str) -> Iterator[Diagnostic]:
        missing = [name for name in REQUIRED.get(kind, ()) if name not in self.body]
        if missing:
            yield Diagnostic(SCHEMA, f"These fields are required: [{', '.join(missing)}]", self.at)
        ends = "End" in FIELDS[kind]
        if ends and "Next" not in self.body and self.body.get("End") is not True:
            yield Diagnostic(SCHEMA, "These fields are required: [Next] or [End]", self.at)
        if ends and "Next" in self.body and "End" in self.body:
            yield Diagnostic(SCHEMA, "Only one of [Next, End] is allowed", self.at)

    def _special(self, kind: str, language: str) -> Iterator[Diagnostic]:
        if kind == "Task":
            yield from self._resource()
        if kind == "Wait":
            given = [
                name for name in ("Seconds", "SecondsPath", "Timestamp", "TimestampPath") if name in self.body
            ]
            if len(given) != 1:
                names = "Seconds, SecondsPath, Timestamp, TimestampPath"
                yield Diagnostic(SCHEMA, f"Exactly one of [{names}] is required", self.at)
            moment = self.body.get("Timestamp")
            if isinstance(moment, str) and language != JSONATA and choice.timestamp(moment) is None:
                yield Diagnostic(SCHEMA, "String does not match RFC3339 timestamp", f"{self.at}/Timestamp")
        for rule, at in self._rules("Retry", "Catch"):
            if not isinstance(rule.get("ErrorEquals"), list):
                yield Diagnostic(SCHEMA, "These fields are required: [ErrorEquals]", at)
            elif "States.ALL" in rule["ErrorEquals"] and len(rule["ErrorEquals"]) > 1:
                yield Diagnostic(SCHEMA, "'States.ALL' can only appear by itself", f"{at}/ErrorEquals")
        for rule, at in self._rules("Catch"):
            if "Next" not in rule:
                yield Diagnostic(SCHEMA, "These fields are required: [Next]", at)
        for machine, at in self._machines(kind):
            yield from _Machine(machine, at, self.machine.kind, self.machine.language).problems()
        if language != JSONATA:
            for name in ("Parameters", "ResultSelector", "ItemSelector", "Assign"):
                yield from _paths(self.body.get(name), f"{self.at}/{name}")

    def _rules(self, *names: str) -> Iterator[tuple[dict[str, Any], str]]:
        for name in names:
            rules = self.body.get(name)
            for index, rule in enumerate(rules if isinstance(rules, list) else []):
                if isinstance(rule, dict):
                    yield rule, f"{self.at}/{name}[{index}]"

    def _machines(self, kind: str) -> Iterator[tuple[dict[str, Any], str]]:
        if kind == "Parallel":
            branches = self.body.get("Branches")
            for index, branch in enumerate(branches if isinstance(branches, list) else []):
                if isinstance(branch, dict):
                    yield branch, f"{self.at}/Branches[{index}]"
        if kind == "Map":
            for name in ("ItemProcessor", "Iterator"):
                if isinstance(self.body.get(name), dict):
                    yield self.body[name], f"{self.at}/{name}"
            if "ItemProcessor" not in self.body and "Iterator" not in self.body:
                yield {}, f"{self.at}/ItemProcessor"

    def _resource(self) -> Iterator[Diagnostic]:
        credentials = self.body.get("Credentials")
        if isinstance(credentials, dict) and not {"RoleArn", "RoleArn.$"} & set(credentials):
            message = "The field 'RoleArn' is required but was missing"
            yield Diagnostic(SCHEMA, message, f"{self.at}/Credentials")
        arn = self.body.get("Resource")
        at = f"{self.at}/Resource"
        if not isinstance(arn, str):
            return
        resource = parse_resource(arn)
        if not integrations.known(resource):
            yield Diagnostic(SCHEMA, integrations.unrecognised(arn), at)
            return
        if self.machine.kind != "EXPRESS":
            return
        if resource.pattern in (SYNC, SYNC_2):
            yield Diagnostic(SCHEMA, "Express state machine does not support '.sync' service integration", at)
        if resource.pattern == TOKEN:
            message = "Express state machine does not support '.waitForTaskToken' service integration "
            yield Diagnostic(SCHEMA, message, at)
        if ":activity:" in arn:
            yield Diagnostic(SCHEMA, "Express state machine does not support Activity ARN", at)


def _paths(template: Any, at: str) -> Iterator[Diagnostic]:
    """The `key.$` of a payload template that hold neither a path nor an intrinsic call."""
    if isinstance(template, dict):
        for key, value in template.items():
            if key.endswith(".$"):
                if not _expression(value):
                    message = (
                        f"The value for the field '{key}' must be a valid JSONPath or a valid intrinsic "
                        "function call"
                    )
                    yield Diagnostic(SCHEMA, message, at)
            else:
                yield from _paths(value, at)
    elif isinstance(template, list):
        for item in template:
            yield from _paths(item, at)


def _expression(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        if value.startswith("States."):
            intrinsics.parse(value)
        else:
            jsonpath.parse(value)
    except ValueError:
        return False
    return True


def resources(machine: Any) -> Iterator[str]:
    """Every Task's Resource in a parsed definition, nested ones included."""
    if isinstance(machine, dict):
        if machine.get("Type") == "Task" and isinstance(machine.get("Resource"), str):
            yield machine["Resource"]
        for value in machine.values():
            yield from resources(value)
    elif isinstance(machine, list):
        for value in machine:
            yield from resources(value)
