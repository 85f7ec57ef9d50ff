"""The chain from an endpoint to a commit: one link for each step, with what proves it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

# broken: two records contradict each other, or what one names is gone. unknown: nobody here can tell.
State = Literal["verified", "broken", "unknown"]


@dataclass(frozen=True)
class Link:
    """One step.

    Args:
        what: such as `model package`.
        value: its name: an ARN, a digest, a commit.
        state: whether the proof holds.
        proof: what was compared, or why it could not be; one sentence.
    """

    what: str
    value: str
    state: State
    proof: str


@dataclass
class Chain:
    """All links of one endpoint, from what serves to what it was made from."""

    endpoint: str
    links: list[Link] = field(default_factory=list)

    def add(self, what: str, value: str, holds: bool | None, proof: str) -> bool:
        """Add a link; whether it holds. `holds` None: unknown."""
        state: State = "unknown" if holds is None else "verified" if holds else "broken"
        self.links.append(Link(what, value, state, proof))
        return bool(holds)

    @property
    def broken(self) -> list[Link]:
        return [link for link in self.links if link.state == "broken"]

    def as_dict(self) -> dict[str, Any]:
        return {
            "endpoint": self.endpoint,
            "whole": not self.broken,
            "links": [asdict(link) for link in self.links],
        }
