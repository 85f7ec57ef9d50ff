"""What is impossible about capture and monitoring, although each value is valid by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.settings.toml_file import Key

Problem = tuple[Key, str, str]

MEASURES = ("psi", "ks", "nulls", "new_categories", "missing_categories")
# As Monitor.limits is where the settings give none.
DEFAULT_LIMITS = {"psi": 0.25, "ks": 0.15, "nulls": 0.05, "new_categories": 0.05}


def monitor_problems(pipeline: dict[str, Any]) -> Iterator[Problem]:
    """Problems of one pipeline's merged tables `capture` and `monitor`."""
    monitor = pipeline.get("monitor")
    if not isinstance(monitor, dict):
        return
    capture = _table(pipeline, "capture")
    if capture.get("percent") == 0:
        yield (
            ("capture", "percent"),
            "[monitor] compares captured requests, and 0 % of them are captured",
            "set 1 to 100, or drop [monitor]",
        )
    yield from _channel(monitor.get("channel", "train"), _table(_table(pipeline, "data"), "channels"))
    content = capture.get("content", ["input", "output"])
    general = {**DEFAULT_LIMITS} if "limits" not in monitor else _table(monitor, "limits")
    for name, feature in _table(monitor, "features").items():
        if isinstance(feature, dict):
            yield from _feature(("monitor", "features", name), feature, general, content)


def _channel(channel: Any, channels: dict[str, Any]) -> Iterator[Problem]:
    uses = {name: each.get("use", "train") for name, each in channels.items() if isinstance(each, dict)}
    if isinstance(channel, str) and channels and uses.get(channel) != "train":
        trained = ", ".join(sorted(name for name, use in uses.items() if use == "train"))
        yield ("monitor", "channel"), f"{channel!r} is no channel of training", f"channels: {trained}"


def _feature(key: Key, feature: dict[str, Any], general: dict[str, Any], content: Any) -> Iterator[Problem]:
    if not any(measure in feature or measure in general for measure in MEASURES):
        yield key, "no measure has a limit, so it would never be drift", "add psi = 0.25, or [monitor.limits]"
    request = feature.get("request")
    sides = {"input": r"\b(body|content_type|columns)\b", "output": r"\b(answer|answer_type)\b"}
    if not isinstance(request, str) or not isinstance(content, list):
        return
    for side, words in sides.items():
        found = re.search(words, request)
        if found and side not in content:
            what = f"{found[1]!r} is of the {side}, which is not captured"
            yield (*key, "request"), what, f'add "{side}" to content of [capture]'


def serverless_problems(environment: dict[str, Any], pipeline: dict[str, Any]) -> Iterator[Problem]:
    """What an environment's endpoint cannot do for a pipeline; the keys are the pipeline's.

    https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html, feature exclusions
    """
    percent = _table(pipeline, "capture").get("percent")
    wants = isinstance(pipeline.get("monitor"), dict) if percent is None else percent != 0
    if wants and _table(environment, "endpoint").get("capacity") == "serverless":
        yield (
            ("monitor",) if isinstance(pipeline.get("monitor"), dict) else ("capture", "percent"),
            "a serverless endpoint captures no requests",
            "another capacity for the endpoint, or capture.percent = 0 and no [monitor] in this environment",
        )


def _table(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}
