"""Target tracking: how many instances a load calls for, and whether it is time to act. Pure.

AWS makes such a policy two CloudWatch alarms over minutes, whose pace is kept here, at the scale of waits:
out when 3 minutes in a row are above the target, in when 15 are below 90 % of it
(https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

PERIOD_SECONDS = 60.0
OUT_PERIODS, IN_PERIODS = 3, 15
IN_SHARE = 0.9


@dataclass(frozen=True)
class Bounds:
    """Least and most instances."""

    least: int
    most: int

    def within(self, count: int) -> int:
        return max(self.least, min(self.most, count))


def wanted(per_minute: Sequence[float], current: int, target: float, bounds: Bounds) -> int:
    """How many instances there should be.

    Args:
        per_minute: invocations per instance and minute of the last periods, newest first.
        current: instances now.
        target: invocations per instance and minute that are wanted.
    """
    recent, long = per_minute[:OUT_PERIODS], per_minute[:IN_PERIODS]
    if len(recent) == OUT_PERIODS and all(value > target for value in recent):
        return bounds.within(max(current, math.ceil(current * recent[0] / target)))
    if len(long) == IN_PERIODS and all(value < target * IN_SHARE for value in long):
        # What the busiest of these minutes needs, so that one quiet minute does not decide.
        return bounds.within(min(current, max(1, math.ceil(current * max(long) / target))))
    return bounds.within(current)
