"""Seam: CloudWatch Logs' metric filters. MiniStack keeps them and writes no metric; here they do.

Patterns: terms, as MiniStack matches them, and JSON patterns of comparisons joined by &&. Others are refused
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html).
"""

from __future__ import annotations

import json
import logging
import operator
import re
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("pipeline.local")

Matches = Callable[[dict[str, Any]], bool]

_COMPARISON = re.compile(
    r'\s*(?P<path>\$(?:\.\w+)+)\s*(?P<how>!=|<=|>=|=|<|>)\s*(?:"(?P<text>[^"]*)"|(?P<plain>[^\s"]+))\s*'
)
_NUMBERS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def install(logs: Any) -> None:
    """Write metrics of what is put into a group, and refuse patterns that cannot be judged."""
    put_filter, fan_out = logs._put_metric_filter, logs._fanout_to_subscription_filters

    def put(data: dict[str, Any]) -> Any:
        pattern = data.get("filterPattern", "")
        if pattern.strip().startswith("{") and compiled(pattern) is None:
            from ministack.core.responses import error_response_json

            told = f"the local target does not judge the filter pattern {pattern}"
            return error_response_json("InvalidParameterException", told, 400)
        return put_filter(data)

    def fan(group: str, stream: str, events: list[dict[str, Any]]) -> None:
        fan_out(group, stream, events)
        filters = [value for (name, _), value in list(logs._metric_filters.items()) if name == group]
        if filters:
            _report(logs, filters, events)

    logs._put_metric_filter = put
    logs._fanout_to_subscription_filters = fan


def compiled(pattern: str) -> Matches | None:
    """A JSON pattern as a function of the event; None for one that cannot be judged here."""
    inner = pattern.strip().removeprefix("{").removesuffix("}")
    tests = [_comparison(part) for part in inner.split("&&")]
    known = [test for test in tests if test is not None]
    if len(known) != len(tests):
        return None
    return lambda event: all(test(event) for test in known)


def found(event: Any, path: str) -> Any:
    """The value at `$.a.b`; None where there is none."""
    for name in path.removeprefix("$.").split("."):
        event = event.get(name) if isinstance(event, dict) else None
    return event


def _comparison(text: str) -> Matches | None:
    match = _COMPARISON.fullmatch(text)
    if match is None:
        return None
    path, how = match["path"], match["how"]
    if match["text"] is not None or not _is_number(match["plain"]):
        if how not in ("=", "!="):
            return None
        glob = match["text"] if match["text"] is not None else match["plain"]
        shape = re.compile(".*".join(re.escape(part) for part in glob.split("*")))
        return lambda event: (
            (value := found(event, path)) is not None
            and (shape.fullmatch(_text(value)) is not None) == (how == "=")
        )
    number, compare = float(match["plain"]), _NUMBERS[how]
    return lambda event: (
        isinstance(value := found(event, path), int | float)
        and not isinstance(value, bool)
        and compare(value, number)
    )


def _report(logs: Any, filters: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
    from ministack.services import cloudwatch

    written = 0
    for event in events:
        message = event.get("message", "")
        try:
            parsed = json.loads(message) if message.startswith("{") else None
        except ValueError:
            parsed = None
        for each in filters:
            if _matches(logs, each["filterPattern"], message, parsed):
                written += _write(cloudwatch, each, parsed, float(event["timestamp"]) / 1000)
    if written:
        cloudwatch._evaluate_all_alarms()


def _matches(logs: Any, pattern: str, message: str, parsed: Any) -> bool:
    if pattern.strip().startswith("{"):
        judge = compiled(pattern)
        return judge is not None and isinstance(parsed, dict) and judge(parsed)
    return bool(logs._compile_filter_pattern(pattern)(message))


def _write(cloudwatch: Any, each: dict[str, Any], parsed: Any, at: float) -> int:
    written = 0
    for made in each["metricTransformations"]:
        given = str(made["metricValue"])
        value = found(parsed, given) if given.startswith("$") else given
        if isinstance(value, bool) or not _is_number(str(value)):
            continue
        dimensions = {name: found(parsed, path) for name, path in (made.get("dimensions") or {}).items()}
        # As on AWS: an event without one of the dimensions is reported without any.
        known = {name: _text(value) for name, value in dimensions.items() if value not in (None, "")}
        cloudwatch._store_datum(
            made["metricNamespace"],
            made["metricName"],
            known if len(known) == len(dimensions) else {},
            at,
            made.get("unit", "None"),
            float(value),
            None,
            None,
            None,
        )
        written += 1
    return written


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None
