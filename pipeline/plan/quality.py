"""What the data must be like, rule by rule in words, and which of the rules change. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

# Of a frame that says nothing of its own; glue_scripts/common/rules.py.
DEFAULT_BAD_SHARE = 0.01
GATE = "-gate-data"
# Arguments of a Glue script: a channel that it reads, and where it writes.
PATH, OUTPUT = "_PATH.$", "--OUTPUT_PATH.$"


@dataclass(frozen=True)
class Rule:
    """One rule of a frame, such as `features/ratings`, and what becomes of it."""

    frame: str
    words: str
    change: Literal["", "added", "removed"] = ""


def compare(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> tuple[Rule, ...]:
    """All rules of the workflow as it will be, and those that go; nothing is added where nothing was."""
    now = list(_rules(after))
    if before is None:
        return tuple(Rule(*rule) for rule in now)
    old = list(_rules(before))
    kept = [Rule(*rule, "" if rule in old else "added") for rule in now]
    gone = [Rule(*rule, "removed") for rule in old if rule not in now]
    return tuple(sorted([*kept, *gone], key=lambda rule: (rule.frame, rule.words)))


def _rules(asl: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for state in _states(asl):
        parameters = state.get("Parameters") or {}
        arguments = parameters.get("Arguments") or {}
        if "--QUALITY" in arguments:
            transform = str(arguments.get("--FINGERPRINT.$", "")).rpartition(".")[2]
            declared = json.loads(arguments["--QUALITY"])
            for frame, rules in declared.items():
                yield from ((f"{transform}/{frame}", words) for words in _of_frame(rules))
            # The library holds what is read to a limit of bad rows also where nothing is declared.
            for frame in _read(arguments):
                if frame not in {name.replace("-", "_") for name in declared}:
                    yield from ((f"{transform}/{frame}", words) for words in _of_frame({}))
        if str(parameters.get("FunctionName", "")).endswith(GATE):
            for transform, frames in (parameters["Payload"].get("rules") or {}).items():
                for frame, limits in frames.items():
                    yield f"{transform}/{frame}", _drift(limits)


def _read(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Names of the channels that a Glue script reads, from its `--<CHANNEL>_PATH.$`."""
    for name in arguments:
        if name.endswith(PATH) and name != OUTPUT:
            yield name.removeprefix("--").removesuffix(PATH).lower()


def _states(asl: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for state in (asl.get("States") or {}).values():
        yield state
        for branch in state.get("Branches") or []:
            yield from _states(branch)


def _of_frame(rules: Mapping[str, Any]) -> Iterator[str]:
    yield f"bad rows: {_limit(rules) or _percent(DEFAULT_BAD_SHARE) + ' at most'}"
    low, high = rules.get("minimum_rows"), rules.get("maximum_rows")
    if low or high:
        yield "rows: " + " and ".join(
            ([f"{low:,} or more"] if low else []) + ([f"{high:,} at most"] if high else [])
        )
    for name, rule in sorted((rules.get("columns") or {}).items()):
        yield f"{name}: {_column(rule)}"
    if rules.get("key"):
        own = _limit(rules.get("duplicates") or {})
        yield f"no two rows share {', '.join(rules['key'])}" + (f" ({own})" if own else "")
    for other in rules.get("apart_from") or []:
        yield f"no key shared with {other}"
    if rules.get("label") and rules.get("leakage") is not None:
        limits = ", ".join(
            f"{name} {rules['leakage'][name]:g} at most"
            for name in ("correlation", "purity")
            if rules["leakage"].get(name) is not None
        )
        yield f"no feature gives {rules['label']} away: {limits}"


def _column(rule: Mapping[str, Any]) -> str:
    said = [rule["type"]] if rule.get("type") else []
    said += ["required"] if rule.get("required") else []
    said += [f"{rule['minimum']:g} or more"] if rule.get("minimum") is not None else []
    said += [f"{rule['maximum']:g} at most"] if rule.get("maximum") is not None else []
    if rule.get("allowed"):
        values = [str(value) for value in rule["allowed"]]
        said.append(
            "one of " + ", ".join(values[:5]) + (f" and {len(values) - 5} more" if values[5:] else "")
        )
    said += [f"like {rule['pattern']}"] if rule.get("pattern") else []
    said += [f"{rule['width']} elements"] if rule.get("width") else []
    said += [f"{_percent(rule['nulls'])} null at most"] if rule.get("nulls") is not None else []
    own = _limit(rule)
    return ", ".join(said) + (f" ({own})" if own else "")


def _drift(limits: Mapping[str, Any]) -> str:
    measures = [f"{name} {limits[name]:g}" for name in sorted(limits) if name not in ("ignore", "action")]
    does = "stops the run" if limits.get("action") == "stop" else "is told"
    return f"drift from the accepted data over {', '.join(measures)} {does}"


def _limit(rule: Mapping[str, Any]) -> str:
    rows, share = rule.get("bad_rows"), rule.get("bad_share")
    said = [f"{rows:,} rows"] if rows is not None else []
    said += [_percent(share)] if share is not None else []
    return " and ".join(said) + " at most" if said else ""


def _percent(share: float) -> str:
    return f"{share * 100:g} %"
