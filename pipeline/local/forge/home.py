"""The local remote as its parts need it: the bare repository, what the forge keeps beside it, its rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.local.forge.events import OWNER_ID, REPOSITORY_ID, Repository
from pipeline.local.forge.github_store import Store
from pipeline.local.forge.places import Places, read


@dataclass(frozen=True)
class Home:
    """One local remote.

    Args:
        reviewed: environments whose jobs wait for a reviewer.
        protected: the default branch takes pull requests only.
        left_out: workflows that do not run here, by file name.
    """

    places: Places
    repository: Repository
    store: Store
    reviewed: frozenset[str]
    protected: bool
    left_out: frozenset[str] = frozenset()

    @classmethod
    def of(cls, root: Path) -> Home:
        """The local remote of a repository.

        Raises:
            SettingsError: there is none yet.
        """
        places = Places.of(root)
        settings = read(places.settings)
        if settings is None or not places.repository.is_dir():
            raise SettingsError(
                "there is no local remote", where=str(places.root), hint="pipeline local remote makes it"
            )
        name = settings["repository"]
        return cls(
            places,
            Repository(places.repository, name, settings["default_branch"]),
            Store(places.api, name, repository_id=REPOSITORY_ID, owner_id=OWNER_ID),
            frozenset(settings["reviewed"]),
            bool(settings["protected"]),
            frozenset(settings.get("left_out", ())),
        )
