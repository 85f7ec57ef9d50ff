"""Which serve process gets the next request: endpoints' live routes, switched at one stroke.

A worker thread publishes a whole new Route under the endpoint's key; the event loop picks from
whatever is published at that moment. Shares are exact, not random: smooth weighted round robin, so
that of any 100 requests at weights 3:1 there are 75 and 25.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from pipeline.local.sagemaker.backend import Backend

Key = tuple[str, str, str]  # account, region, endpoint name


class _Weighted(Protocol):
    weight: float
    credit: float


class Sink(Protocol):
    """Takes what is captured of a variant's requests and answers."""

    def take(self, headers: dict[str, str], body: bytes, answer_type: str, answer: bytes) -> None:
        """One answered request; must not block."""


W = TypeVar("W", bound=_Weighted)


class Demand(Protocol):
    """Where a serverless variant's requests get a process from."""

    async def acquire(self) -> Backend:
        """A process of its own for one request, started if need be; counted in its `inflight`."""

    def release(self, backend: Backend) -> None:
        """The request is done."""


def choose(items: Sequence[W]) -> W | None:
    """The next by smooth weighted round robin; None when all weights are 0 or there are none."""
    total = 0.0
    best: W | None = None
    for item in items:
        if item.weight <= 0:
            continue
        total += item.weight
        item.credit += item.weight
        if best is None or item.credit > best.credit:
            best = item
    if best is not None:
        best.credit -= total
    return best


class VariantRoute:
    """One production variant of a configuration: its share of the traffic and its processes."""

    def __init__(
        self,
        name: str,
        weight: float,
        backends: Sequence[Backend],
        config: str = "",
        demand: Demand | None = None,
        sink: Sink | None = None,
    ) -> None:
        self.name = name
        self.sink = sink
        self.config = config
        # Set on a serverless variant: it brings a process for each request.
        self.demand = demand
        self.weight = weight
        self.credit = 0.0
        self.backends = tuple(backends)
        self._next = 0

    def backend(self) -> Backend | None:
        """A healthy process with the fewest requests in flight, in turn among equals."""
        healthy = [backend for backend in self.backends if backend.healthy]
        if not healthy:
            return None
        if len(healthy) == 1:
            return healthy[0]
        self._next += 1
        start = self._next % len(healthy)
        return min(healthy[start:] + healthy[:start], key=lambda backend: backend.inflight)


class FleetRoute:
    """The variants of one deployment, and the share of the endpoint's traffic it has (blue or green)."""

    def __init__(self, variants: Sequence[VariantRoute], weight: float = 1.0) -> None:
        self.variants = tuple(variants)
        self.weight = weight
        self.credit = 0.0

    def variant(self, name: str | None) -> VariantRoute | None:
        """The named variant, or the next by weight."""
        if name:
            return next((variant for variant in self.variants if variant.name == name), None)
        if len(self.variants) == 1:
            return self.variants[0]
        return choose(self.variants)


class Route:
    """What an endpoint's traffic meets now: one fleet, or two while it is shifted."""

    def __init__(self, fleets: Sequence[FleetRoute]) -> None:
        self.fleets = tuple(fleets)

    def pick(self, target: str | None) -> VariantRoute | None:
        """The variant for the next request; None if the target is not among them."""
        fleet = self.fleets[0] if len(self.fleets) == 1 else choose(self.fleets)
        return fleet.variant(target) if fleet else None


_routes: dict[Key, Route] = {}


def publish(key: Key, route: Route) -> None:
    """All requests from now on take this route."""
    _routes[key] = route


def withdraw(key: Key) -> None:
    """No request finds the endpoint any more."""
    _routes.pop(key, None)


def find(key: Key) -> Route | None:
    """The endpoint's route, if it serves."""
    return _routes.get(key)
