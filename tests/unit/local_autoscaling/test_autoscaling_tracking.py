"""How many instances a load calls for: three busy minutes to grow, fifteen quiet ones to shrink."""

from __future__ import annotations

import pytest

from pipeline.local.autoscaling.tracking import Bounds, wanted


@pytest.mark.parametrize(
    ("per_minute", "current", "count"),
    [
        ([250, 250, 250], 2, 5),  # 500 a minute in all, 100 wanted of each
        ([250, 250, 90], 2, 2),
        ([250, 250], 2, 2),  # nobody has looked long enough
        ([9000] * 3, 2, 6),
        ([95] * 15, 4, 4),  # between 90 % and all of the target nothing moves
        ([40] * 15, 4, 2),
        ([40] * 14 + [89], 4, 4),  # the busiest of the minutes decides
        ([40] * 14, 4, 4),
        ([0] * 15, 4, 1),
        ([0] * 15, 1, 1),
        ([], 9, 6),  # bounds hold without any load
        ([], 0, 1),
    ],
)
def test_how_many_there_should_be(per_minute: list[float], current: int, count: int) -> None:
    assert wanted(per_minute, current, 100.0, Bounds(1, 6)) == count
