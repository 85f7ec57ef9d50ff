"""What a pipeline costs: prices with their source and date, and a rendered template read for what it uses."""

from __future__ import annotations

from pipeline.cost.estimate import Duration, Estimate, Line, Total, estimate
from pipeline.cost.prices import Prices, of
from pipeline.cost.usage import Usage, state_machine, usage

__all__ = [
    "Duration",
    "Estimate",
    "Line",
    "Prices",
    "Total",
    "Usage",
    "estimate",
    "of",
    "state_machine",
    "usage",
]
