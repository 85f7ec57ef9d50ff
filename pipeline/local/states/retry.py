"""Retry: which retrier answers to an error, how often, and how long it waits."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from pipeline.local.states.errors import StateFailure, matches

# The defaults of the Amazon States Language.
INTERVAL_SECONDS = 1
BACKOFF_RATE = 2.0
MAX_ATTEMPTS = 3


@dataclass
class Retrier:
    """A state's Retry field with the attempts it has spent."""

    rules: list[dict[str, Any]]
    spent: dict[int, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All retries so far: $$.State.RetryCount."""
        return sum(self.spent.values())

    def delay(self, failure: StateFailure) -> float | None:
        """Seconds to wait before the next attempt, None where there is none. Counts the attempt.

        The first rule that matches decides: when its attempts are spent, later rules are not asked.
        """
        for index, rule in enumerate(self.rules):
            if matches(rule["ErrorEquals"], failure):
                used = self.spent.get(index, 0)
                if used >= rule.get("MaxAttempts", MAX_ATTEMPTS):
                    return None
                self.spent[index] = used + 1
                return interval(rule, used)
        return None


def interval(rule: dict[str, Any], used: int, draw: Any = random.uniform) -> float:
    """The wait before retry `used` + 1: IntervalSeconds * BackoffRate ** used, at most MaxDelaySeconds.

    JitterStrategy FULL takes a random share of it, from none to all.
    """
    seconds = (
        float(rule.get("IntervalSeconds", INTERVAL_SECONDS))
        * float(rule.get("BackoffRate", BACKOFF_RATE)) ** used
    )
    if "MaxDelaySeconds" in rule:
        seconds = min(seconds, float(rule["MaxDelaySeconds"]))
    if rule.get("JitterStrategy", "NONE") == "FULL":
        return float(draw(0.0, seconds))
    return seconds


def catcher(rules: list[dict[str, Any]], failure: StateFailure) -> dict[str, Any] | None:
    """The Catch rule that takes the failure over."""
    return next((rule for rule in rules if matches(rule["ErrorEquals"], failure)), None)
