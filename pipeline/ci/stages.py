"""Which environments a merge goes to and which a release: read from who promotes from whom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline import settings as store
from pipeline.names import Names
from pipeline.render import access
from pipeline.settings.model import Settings


@dataclass(frozen=True)
class Stages:
    """`merge`: where a merge is applied; `release`: where a tag promotes to, in order of promotion."""

    merge: tuple[str, ...]
    release: tuple[str, ...]


def find(root: Path) -> Stages:
    """The stages of the repository at `root`; without promotions a merge goes to the default environment."""
    names = store.names(root)
    if not names:
        return Stages((), ())
    sources = {
        each: store.load(root, names[0], each).environment.promote_from for each in store.environments(root)
    }
    return of(sources, store.load(root, names[0]).project.default_environment)


def of(sources: dict[str, str | None], default: str) -> Stages:
    """The pure part: environment -> the one it promotes from."""
    release = sorted((name for name, source in sources.items() if source), key=lambda n: _depth(n, sources))
    begins = {source for source in sources.values() if source and not sources.get(source)}
    merge = tuple(name for name in sources if name in begins)
    return Stages(merge or (default,), tuple(release))


def role(settings: Settings, purpose: str) -> str:
    """ARN of the role that a job takes in this environment: `plan` reads, `deploy` changes (account.yaml)."""
    names = Names.of(settings)
    return access.role(names, settings.project.name, settings.environment, settings.environment_name, purpose)


def _depth(name: str, sources: dict[str, str | None]) -> int:
    steps, at = 0, sources.get(name)
    while at and steps <= len(sources):
        steps, at = steps + 1, sources.get(at)
    return steps
