"""How often a month a schedule fires: EventBridge Scheduler's cron() and rate(), read for counting only.

Syntax: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import re

DAYS_A_MONTH = 365.25 / 12
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEK = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def runs_a_month(expression: str) -> float | None:
    """Mean number of runs a month; None for an expression this cannot count."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression.strip())
    if rate:
        return DAYS_A_MONTH * 86400 / (int(rate[1]) * _SECONDS[rate[2]]) if int(rate[1]) else None
    cron = re.fullmatch(r"cron\((.+)\)", expression.strip())
    fields = cron[1].split() if cron else []
    if len(fields) != 6:
        return None
    minutes, hours = _count(fields[0], 0, 59), _count(fields[1], 0, 23)
    days, months = _days(fields[2], fields[4]), _count(fields[3], 1, 12, _MONTHS)
    if None in (minutes, hours, days, months) or fields[5] != "*":
        return None
    return float(minutes or 0) * float(hours or 0) * float(days or 0) * float(months or 0) / 12


def _days(of_month: str, of_week: str) -> float | None:
    """Days a month that both fields allow; one of them is `?`, as the syntax demands."""
    if of_week in ("?", "*"):
        if of_month in ("?", "*"):
            return DAYS_A_MONTH
        if of_month in ("L", "LW") or re.fullmatch(r"\d+W", of_month):
            return 1.0
        return _count(of_month, 1, 31)
    if of_month not in ("?", "*"):
        return None
    if re.fullmatch(r"[A-Z0-9]+(L|#[1-5])", of_week):
        return 1.0
    days = _count(of_week, 1, 7, _WEEK)
    return None if days is None else days * DAYS_A_MONTH / 7


def _count(field: str, first: int, last: int, names: tuple[str, ...] = ()) -> float | None:
    """How many values a field allows."""
    found: set[int] = set()
    for part in field.upper().split(","):
        match = re.fullmatch(r"(\*|[A-Z0-9]+(?:-[A-Z0-9]+)?)(?:/(\d+))?", part)
        if not match:
            return None
        low, high = first, last
        if match[1] != "*":
            ends = [_number(text, names) for text in match[1].split("-")]
            if None in ends:
                return None
            low = ends[0] or 0
            high = (ends[-1] or 0) if len(ends) > 1 else (last if match[2] else low)
        step = int(match[2] or 1)
        if not step or low < first or high > last:
            return None
        found |= set(range(low, high + 1, step))
    return float(len(found))


def _number(text: str, names: tuple[str, ...]) -> int | None:
    if text in names:
        return names.index(text) + 1
    return int(text) if text.isdigit() else None
