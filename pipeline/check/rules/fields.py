"""Rules on single fields of a state: paths that are paths, names that fit, a Task that says what it calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.check.rule import Hit, Path, rule
from pipeline.check.states import integration, states, tasks
from pipeline.check.subject import Subject

SPEC = "https://states-language.net/spec.html"
_NESTED = ("Branches", "Iterator", "ItemProcessor")
_PATH_FIELDS = (
    "InputPath",
    "OutputPath",
    "ItemsPath",
    "Variable",
    "TimeoutSecondsPath",
    "HeartbeatSecondsPath",
)


@rule("ML110", "a field that takes a path holds one, which starts with $", f"{SPEC}#path")
def path_fields(subject: Subject) -> Iterator[Hit]:
    for state in states(subject.asl):
        if state.body.get("QueryLanguage", subject.asl.get("QueryLanguage")) == "JSONata":
            continue
        body = {key: value for key, value in state.body.items() if key not in _NESTED}
        for path, value in _paths(body):
            if not re.match(r"\$|States\.[A-Z]", value):
                fix = f'write "$.{value}", or a value under a plain key'
                yield Hit("asl", (*state.path, *path), f"{value!r} is no path", fix)


def _paths(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text that stands where a path must."""
    if isinstance(value, dict):
        for key, child in value.items():
            promised = key.endswith(".$") or key in _PATH_FIELDS
            if promised and isinstance(child, str):
                yield (*path, key), child
            elif key not in ("Parameters", "ResultSelector", "ItemSelector", "Result"):
                yield from _paths(child, (*path, key))
            else:
                yield from _suffixed(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _paths(child, (*path, index))


def _suffixed(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Inside a payload only a key that ends in .$ promises a path; InputPath is a name like any other."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key.endswith(".$") and isinstance(child, str):
                yield (*path, key), child
            else:
                yield from _suffixed(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _suffixed(child, (*path, index))


@rule("ML111", "a state's name has at most 80 characters", f"{SPEC}#states-fields")
def name_length(subject: Subject) -> Iterator[Hit]:
    for state in states(subject.asl):
        if len(state.name) > 80:
            yield Hit("asl", state.path, f"the name has {len(state.name)} characters", "shorten it to 80")


@rule(
    "ML112",
    "a Task says what it calls, in a form Step Functions knows",
    "https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html",
)
def task_resource(subject: Subject) -> Iterator[Hit]:
    for task in tasks(subject.asl):
        resource = task.body.get("Resource")
        if not isinstance(resource, str) or not resource:
            yield Hit(
                "asl", task.path, "no Resource", 'add "Resource", such as arn:aws:states:::lambda:invoke'
            )
        elif not _known_form(task.body, resource):
            what = f"{resource!r} is no function, activity or service integration"
            fix = "write arn:aws:states:::<service>:<action>[.sync|.waitForTaskToken]"
            yield Hit("asl", (*task.path, "Resource"), what, fix)


def _known_form(body: dict[str, Any], resource: str) -> bool:
    if re.fullmatch(r"\$\{[^}]+\}", resource) or integration(body) is not None:
        return True
    return re.match(r"arn:.+:(function:.+|activity:.+)$", resource) is not None
