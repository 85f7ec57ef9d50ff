"""Metrics out of a program's output: the regular expressions of MetricDefinitions, and where values go.

An expression is *searched* in every line, and its first group is the value. So `accuracy=([0-9.]+)` also
finds `val_accuracy=0.9`: write what comes before it, too. A line may hold several values; each counts.
"""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline import algorithms
from pipeline.local.sagemaker.errors import ValidationException

log = logging.getLogger(__name__)
NAMESPACE = "/aws/sagemaker/TrainingJobs"
_AT_ONCE = 1000  # PutMetricData's limit


def check(definitions: list[dict[str, str]]) -> None:
    """Raise for an expression that is none, or that captures nothing."""
    for definition in definitions:
        name, text = definition["Name"], definition["Regex"]
        try:
            groups = re.compile(text).groups
        except re.error as error:
            raise ValidationException(f"Invalid regex {text!r} of metric {name!r}: {error}") from None
        if groups == 0:
            raise ValidationException(
                f"Invalid regex {text!r} of metric {name!r}: it must have a capturing group that finds "
                "the value"
            )


def require_none(specification: dict[str, Any]) -> None:
    """Raise where a built-in algorithm is given metrics, as SageMaker does: it has its own."""
    if specification.get("MetricDefinitions") and algorithms.of_image(specification["TrainingImage"]):
        raise ValidationException(
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the "
            "request without specifying metric definitions."
        )


def with_own(specification: dict[str, Any]) -> dict[str, Any]:
    """The specification with the metrics that a built-in algorithm brings; any other as it is."""
    known = algorithms.of_image(specification["TrainingImage"])
    if known is None:
        return specification
    return {**specification, "MetricDefinitions": algorithms.metric_definitions(known[0])}


class Metrics:
    """The values found so far. `take` is the log's; `final` and `publish` are the job's.

    Args:
        definitions: MetricDefinitions of the request.
        watch: told each value as it is found, in the log's thread.
    """

    def __init__(
        self, definitions: list[dict[str, str]], watch: Callable[[str, float], None] | None = None
    ) -> None:
        self._watch = watch
        self._compiled = [(each["Name"], re.compile(each["Regex"])) for each in definitions]
        self._last: dict[str, tuple[float, float]] = {}
        self._unsent: list[tuple[str, float, float]] = []
        self._guard = threading.Lock()

    def take(self, line: str, when: float) -> None:
        """Look for values in one line. What is no number, or not finite, is no value."""
        for name, expression in self._compiled:
            for found in expression.finditer(line):
                try:
                    value = float(found.group(1))
                except (TypeError, ValueError):
                    continue
                if math.isfinite(value):
                    with self._guard:
                        self._last[name] = (value, when)
                        self._unsent.append((name, value, when))
                    if self._watch:
                        self._watch(name, value)

    def final(self) -> list[dict[str, Any]]:
        """FinalMetricDataList: the last value of each metric, in the order of their definitions."""
        with self._guard:
            return [
                {"MetricName": name, "Value": self._last[name][0], "Timestamp": self._last[name][1]}
                for name, _ in self._compiled
                if name in self._last
            ]

    def pending(self) -> bool:
        """Whether there is something to publish."""
        return bool(self._unsent)

    def publish(self, cloudwatch: Any, job: str) -> None:
        """Send what was found since the last time to CloudWatch, as far as the role may."""
        with self._guard:
            unsent, self._unsent = self._unsent, []
        data = [
            {
                "MetricName": name,
                "Dimensions": [{"Name": "TrainingJobName", "Value": job}],
                "Timestamp": when,
                "Value": value,
            }
            for name, value, when in unsent
        ]
        for start in range(0, len(data), _AT_ONCE):
            try:
                cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data[start : start + _AT_ONCE])
            except (ClientError, BotoCoreError) as error:
                log.warning("no metrics of %s: %s", job, error)
                return
