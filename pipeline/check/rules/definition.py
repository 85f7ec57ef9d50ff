"""Rules on the definition that no validator has: each was seen to pass all of them and fail on AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.check.rule import Hit, rule
from pipeline.check.states import (
    Machine,
    dangling,
    integration,
    is_end,
    machines,
    reachable,
    sound,
    states,
    strings,
    successors,
    tasks,
)
from pipeline.check.subject import Subject

SPEC = "https://states-language.net/spec.html"
CONTEXT = "https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html"


@rule("ML101", "States.ALL stands alone and last in Retry and Catch", f"{SPEC}#errors")
def states_all_last(subject: Subject) -> Iterator[Hit]:
    for state in states(subject.asl):
        for key in ("Retry", "Catch"):
            entries = state.body.get(key)
            entries = entries if isinstance(entries, list) else []
            for index, entry in enumerate(entries):
                errors = entry.get("ErrorEquals", []) if isinstance(entry, dict) else []
                at = (*state.path, key, index, "ErrorEquals")
                if "States.ALL" in errors and index < len(entries) - 1:
                    yield Hit(
                        "asl",
                        at,
                        f"States.ALL hides the {key} entries after it",
                        f"move this {key} entry to the end",
                    )
                if "States.ALL" in errors and len(errors) > 1:
                    yield Hit("asl", at, "States.ALL stands beside other errors", "drop the other errors")


_PATH_VALUE = re.compile(r"^(\$\$?[.\[]|States\.[A-Z][A-Za-z0-9]*\()")


@rule(
    "ML102", "a path stands under a key that ends in .$, else it is sent as text", f"{SPEC}#payload-template"
)
def path_without_suffix(subject: Subject) -> Iterator[Hit]:
    for state in states(subject.asl):
        if state.body.get("QueryLanguage", subject.asl.get("QueryLanguage")) == "JSONata":
            continue
        for key in ("Parameters", "ResultSelector", "ItemSelector", "Result"):
            for path, value in strings(state.body.get(key)):
                named = next((part for part in reversed(path) if isinstance(part, str)), "")
                if _PATH_VALUE.match(value) and not named.endswith(".$"):
                    at = (*state.path, key, *path)
                    if key == "Result":
                        fix = "Result is never evaluated: use Parameters with a key that ends in .$"
                    elif path and isinstance(path[-1], int):
                        fix = 'a list takes no paths: build it with "…​.$": "States.Array(…)"'.replace(
                            "\u200b", ""
                        )
                    else:
                        fix = f'write "{named}.$"'
                    yield Hit("asl", at, f"{value!r} is sent as text, not evaluated", fix)


_REPR = re.compile(r" object at 0x[0-9a-f]+|^<[\w.]+ [^>]*>$|^<class '")


@rule(
    "ML103",
    "no Python object has leaked into the definition as text",
    "https://github.com/aws/aws-step-functions-data-science-sdk-python/issues",
)
def leaked_object(subject: Subject) -> Iterator[Hit]:
    for path, value in strings(subject.asl):
        if _REPR.search(value):
            fix = "pass the value through parameters=, where placeholders are rendered"
            yield Hit("asl", path, f"{value!r} is a Python object's representation", fix)


@rule("ML104", "a heartbeat is shorter than the timeout", f"{SPEC}#task-state")
def heartbeat_below_timeout(subject: Subject) -> Iterator[Hit]:
    for task in tasks(subject.asl):
        # Without TimeoutSeconds the spec's 99999999 holds.
        timeout, heartbeat = task.body.get("TimeoutSeconds", 99999999), task.body.get("HeartbeatSeconds")
        if isinstance(timeout, int) and isinstance(heartbeat, int) and heartbeat >= timeout:
            what = f"HeartbeatSeconds {heartbeat} is not below TimeoutSeconds {timeout}"
            yield Hit("asl", (*task.path, "HeartbeatSeconds"), what, f"set it below {timeout}")


# What the context object holds, by the page named as the rule's source. None: anything below it.
_CONTEXT: dict[str, tuple[str, ...]] = {
    "Execution": ("Id", "Input", "Name", "RoleArn", "StartTime", "RedriveCount", "RedriveTime"),
    "State": ("EnteredTime", "Name", "RetryCount"),
    "StateMachine": ("Id", "Name"),
    "Task": ("Token",),
    "Map": ("Item",),
}
_CONTEXT_PATH = re.compile(r"\$\$\.([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?")


@rule("ML105", "a $$ path names a field the context object has there", CONTEXT)
def context_path(subject: Subject) -> Iterator[Hit]:
    for state in states(subject.asl):
        call = integration(state.body)
        own = {k: v for k, v in state.body.items() if k not in ("Branches", "Iterator", "ItemProcessor")}
        for path, value in strings(own):
            for match in _CONTEXT_PATH.finditer(value):
                top, leaf = match[1], match[2]
                at = (*state.path, *path)
                if top not in _CONTEXT:
                    yield Hit(
                        "asl", at, f"the context object has no {top!r}", f"one of: {', '.join(_CONTEXT)}"
                    )
                elif leaf and leaf not in _CONTEXT[top]:
                    allowed = ", ".join(_CONTEXT[top])
                    yield Hit("asl", at, f"the context object has no {top}.{leaf}", f"one of: {allowed}")
                elif top == "Task" and call is not None and call.pattern != "waitForTaskToken":
                    fix = "add .waitForTaskToken to the Resource"
                    yield Hit("asl", at, "there is a task token only in a .waitForTaskToken task", fix)
                elif top == "Map" and state.kind != "Map" and not _inside_map(state.path):
                    yield Hit("asl", at, "there is a Map.Item only in a Map state", "use it inside a Map")


def _inside_map(path: tuple[str | int, ...]) -> bool:
    return any(part in ("Iterator", "ItemProcessor") for part in path)


@rule("ML106", "every loop has a way out", f"{SPEC}#transition")
def loop_without_exit(subject: Subject) -> Iterator[Hit]:
    for machine in filter(sound, machines(subject.asl)):
        told: set[str] = set()
        for name in machine.states:
            if name in told:
                continue
            # Catch is left out: a loop that only an error can leave never ends well.
            follow = reachable(machine, name, catch=False)
            loops = any(name in reachable(machine, after, catch=False) for after in successors(machine, name))
            ends = any(is_end(machine.states[each]) for each in follow)
            if loops and not ends and all(name in reachable(machine, each, catch=False) for each in follow):
                told |= follow
                what = f"{', '.join(sorted(follow))} go round for ever"
                fix = "add a Choice that leaves the loop, or an end"
                yield Hit("asl", (*machine.path, "States", name), what, fix)


@rule("ML107", "every transition leads to a state of the same machine", f"{SPEC}#transition")
def dangling_transition(subject: Subject) -> Iterator[Hit]:
    for machine in machines(subject.asl):
        start = machine.body.get("StartAt")
        if not isinstance(start, str) or start not in machine.states:
            fix = _name_one(machine)
            yield Hit(
                "asl", (*machine.path, "StartAt"), f"StartAt {start!r} is no state of this machine", fix
            )
        for name, edge in dangling(machine):
            at = (*machine.path, "States", name, *edge.path)
            what = f"{edge.target!r} is no state of this machine"
            yield Hit("asl", at, what, _name_one(machine))


def _name_one(machine: Machine) -> str:
    return "one of: " + ", ".join(sorted(machine.states)[:20])


@rule("ML108", "every state can be reached", f"{SPEC}#transition")
def unreachable_state(subject: Subject) -> Iterator[Hit]:
    for machine in filter(sound, machines(subject.asl)):
        for name in sorted(set(machine.states) - reachable(machine, machine.body["StartAt"])):
            at = (*machine.path, "States", name)
            yield Hit("asl", at, f"nothing leads to {name!r}", "lead a transition to it, or remove it")


@rule("ML109", "a state's name is used once in the whole definition", f"{SPEC}#states-fields")
def unique_names(subject: Subject) -> Iterator[Hit]:
    seen: dict[str, str] = {}
    for state in states(subject.asl):
        where = ".".join(map(str, state.machine.path)) or "the definition"
        if state.name in seen:
            yield Hit(
                "asl",
                state.path,
                f"{state.name!r} is also a state of {seen[state.name]}",
                "rename one of them",
            )
        seen.setdefault(state.name, where)
