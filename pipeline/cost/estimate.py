"""What a run and a month cost: usage times prices, as ranges; what is not known is said. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.cost.prices import Price, Prices
from pipeline.cost.schedule import runs_a_month
from pipeline.cost.usage import DPUS, Endpoint, Job, Usage

HOURS_A_MONTH = 730.0
# A call of one of our Lambdas; most take a fraction of it.
LAMBDA_SECONDS = 1.0
# "billed per second with a 1-minute minimum" (Glue 2.0 and later): https://aws.amazon.com/glue/pricing/
GLUE_LEAST_SECONDS = 60


@dataclass(frozen=True)
class Duration:
    """How long a job runs, in seconds, and where that is known from."""

    seconds: float
    source: str


@dataclass(frozen=True)
class Line:
    """One item: USD from `low` to `high`; both None where no price or no quantity is known.

    Args:
        quantity: how much of what, for people.
        source: whose price it is, and its date.
    """

    what: str
    per: Literal["run", "month"]
    quantity: str
    low: float | None
    high: float | None
    source: str = ""
    note: str = ""


@dataclass(frozen=True)
class Total:
    """A sum: of what is known. `unknown` names what is not in it."""

    low: float
    high: float
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """Cost of one pipeline. `runs`: by its schedule in a month; None without one, or not countable."""

    lines: tuple[Line, ...]
    runs: float | None

    @property
    def per_run(self) -> Total:
        return _sum([line for line in self.lines if line.per == "run"])

    @property
    def per_month(self) -> Total:
        """What stands there all month, and the scheduled runs."""
        month, run = _sum([line for line in self.lines if line.per == "month"]), self.per_run
        runs = self.runs or 0.0
        unknown = month.unknown + (run.unknown if runs else ())
        return Total(month.low + runs * run.low, month.high + runs * run.high, unknown)


def estimate(
    used: Usage, prices: Prices, durations: Mapping[str, Duration], transitions: int | None = None
) -> Estimate:
    """What `used` costs.

    Args:
        durations: by state, as earlier runs took; a job without one is counted up to its time limit.
        transitions: of an earlier run; None takes the longest way through the machine.
    """
    lines = [line for job in used.jobs for line in _job(job, prices, durations.get(job.state))]
    lines.append(_transitions(used, prices, transitions))
    if used.functions:
        lines.append(_functions(used, prices))
    lines += [line for endpoint in used.endpoints for line in _endpoint(endpoint, prices)]
    if used.comparison:
        lines += _comparisons(used.comparison, prices, durations)
    if used.alarms:
        price = prices.find("alarm")
        lines.append(_line(f"{used.alarms} alarms", "month", f"{used.alarms} alarms", used.alarms, price))
    return Estimate(tuple(lines), runs_a_month(used.schedule) if used.schedule else None)


def _job(job: Job, prices: Prices, took: Duration | None) -> list[Line]:
    instances = f"{job.count} x {job.instance_type}"
    if job.times > 1:
        instances = f"at most {job.times} jobs of {instances}"
    seconds, note = (took.seconds, took.source) if took else (job.limit_seconds, "at most: its time limit")
    # A search may end early, and stops jobs that are not worth going on with.
    at_most = took is None or job.times > 1
    price = prices.find(job.kind, job.instance_type)
    if seconds is None:
        return [Line(job.state, "run", instances, None, None, note="nobody knows how long it takes")]
    if job.kind == "glue":
        return [_glue(job, seconds, prices, note, at_most)]
    if job.kind == "build":
        price = prices.find("build_minute", job.instance_type)
        note = f"only where the registry lacks the image; {note}"
        return [_line(job.state, "run", f"{instances}, {_seconds(seconds)}", seconds / 60, price, note, True)]
    hours = seconds / 3600 * job.count * job.times
    line = _line(job.state, "run", f"{instances}, {_seconds(seconds)}", hours, price, note, at_most)
    if job.spot and line.low is not None:
        share = prices.spot_lowest_share or 0.0
        line = replace(line, low=line.low * share, note=f"{note}; on spot from {share:.0%} of the price")
    lines = [line]
    volume = prices.find("volume", job.kind)
    if job.volume_gb and volume:
        gb_months = job.volume_gb * hours / HOURS_A_MONTH
        what = f"{job.volume_gb:.0f} GB volume"
        lines.append(_line(f"{job.state}: volume", "run", what, gb_months, volume, at_most=at_most))
    return lines


def _comparisons(used: Usage, prices: Prices, durations: Mapping[str, Duration]) -> list[Line]:
    """What comparing requests costs a month: so often by its own schedule; nothing, if that is off."""
    each = [line for job in used.jobs for line in _job(job, prices, durations.get(job.state))]
    each.append(_transitions(used, prices, None))
    if used.functions:
        each.append(_functions(used, prices))
    times = runs_a_month(used.schedule) if used.schedule else 0.0
    lines = []
    for line in each:
        what = line.what if line.what in {job.state for job in used.jobs} else f"Monitor: {line.what}"
        one = "no price" if line.high is None else f"up to ${line.high:.2g} each"
        if not used.schedule:
            quantity, note = f"by hand only, each {line.quantity}", f"{one}; [monitor.schedule] is off"
            lines.append(Line(what, "month", quantity, 0.0, 0.0, line.source, note))
        elif times is None:
            lines.append(replace(line, what=what, per="month", low=None, high=None, note=one))
        else:
            low, high = (None if v is None else v * times for v in (line.low, line.high))
            quantity = f"{times:.1f} x {line.quantity}"
            lines.append(replace(line, what=what, per="month", quantity=quantity, low=low, high=high))
    return lines


def _glue(job: Job, seconds: float, prices: Prices, note: str, at_most: bool) -> Line:
    dpus = DPUS.get(job.instance_type)
    price = prices.find("dpu_hour") if dpus else None
    hours = max(seconds, GLUE_LEAST_SECONDS) / 3600 * job.count * (dpus or 0)
    what = f"{job.count} x {job.instance_type}, {_seconds(seconds)}"
    return _line(job.state, "run", what, hours, price, note, at_most)


def _transitions(used: Usage, prices: Prices, seen: int | None) -> Line:
    count = used.transitions if seen is None else seen
    note = "the longest way through" if seen is None else "as the last run took"
    return _line(
        "Step Functions", "run", f"{count} transitions", count, prices.find("transitions"), note, seen is None
    )


def _functions(used: Usage, prices: Prices) -> Line:
    seconds, requests = prices.find("gb_second"), prices.find("requests")
    calls = len(used.functions)
    what = f"{calls} calls of {LAMBDA_SECONDS:.0f} s"
    if seconds is None or requests is None:
        return Line("Lambda", "run", what, None, None, note="no price")
    usd = sum(used.functions) / 1024 * LAMBDA_SECONDS * seconds.usd + calls * requests.usd
    return Line("Lambda", "run", what, 0.0, usd, _source(seconds), "at most: the longest way through")


def _endpoint(endpoint: Endpoint, prices: Prices) -> list[Line]:
    if endpoint.serverless_memory_mb:
        memory = endpoint.serverless_memory_mb / 1024
        price = prices.find("serverless")
        what = f"serverless, {memory:.0f} GB"
        # Nobody knows the traffic: the unit price is what can be told.
        note = f"{memory * price.usd * 1000:.2g} USD for 1,000 s of requests" if price else "no price"
        lines = [
            Line("Endpoint", "month", what, 0.0 if price else None, None, _source(price), f"by use: {note}")
        ]
        if endpoint.provisioned_concurrency:
            what = f"{endpoint.provisioned_concurrency} provisioned"
            lines.append(Line("Endpoint: provisioned", "month", what, None, None, note="no price"))
        return lines
    price = prices.find("hosting", endpoint.instance_type)
    low, high = endpoint.minimum, endpoint.maximum
    count = str(low) if low == high else f"{low} to {high}"
    what = f"{count} x {endpoint.instance_type}, {HOURS_A_MONTH:.0f} h"
    if price is None:
        return [Line("Endpoint", "month", what, None, None, note="no price")]
    hourly = price.usd * HOURS_A_MONTH
    return [Line("Endpoint", "month", what, low * hourly, high * hourly, _source(price))]


def _line(
    what: str,
    per: Literal["run", "month"],
    quantity: str,
    units: float,
    price: Price | None,
    note: str = "",
    at_most: bool = False,
) -> Line:
    if price is None:
        return Line(what, per, quantity, None, None, note="no price" + (f"; {note}" if note else ""))
    usd = units * price.usd
    return Line(what, per, quantity, 0.0 if at_most else usd, usd, _source(price), note)


def _sum(lines: list[Line]) -> Total:
    return Total(
        sum(line.low or 0.0 for line in lines),
        sum(line.high or 0.0 for line in lines),
        tuple(line.what for line in lines if line.high is None),
    )


def _source(price: Price | None) -> str:
    return f"{price.source} ({price.date})" if price else ""


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
