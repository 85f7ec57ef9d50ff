"""Which pipelines, in which environments, a change concerns; and why, file by file."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline import settings as store
from pipeline.ci import git, sources
from pipeline.ci.changes import Changes
from pipeline.image.context import uses

PROJECT = "pipeline.toml"
DEFINITIONS = "pipeline/definitions/"
SETTINGS = "settings.toml"
CONTAINERS = "container/"
SCRIPTS = "glue_scripts/"
LIBRARY = f"{SCRIPTS}common/"
# Of a pipeline with [monitor], not named in its settings.
MONITOR = f"{SCRIPTS}monitor/"
LOCK = "requirements.lock"
ACCOUNT = "cloudformation/"

Texts = Callable[[str], str | None]


@dataclass(frozen=True)
class Concerned:
    """One pipeline that a change is about.

    Args:
        environments: those in which it would differ, in pipeline.toml's order.
        why: the reasons, each once.
    """

    name: str
    environments: tuple[str, ...]
    why: tuple[str, ...]


@dataclass(frozen=True)
class Affected:
    """All that are concerned; `ignored` files decide nothing deployed; `gone` pipelines were removed.

    Args:
        base: the commit that was compared with; empty where everything counts.
    """

    pipelines: tuple[Concerned, ...]
    ignored: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    why: str = ""
    base: str = ""

    def in_environment(self, name: str) -> list[str]:
        """Names of the pipelines concerned in this environment."""
        return [each.name for each in self.pipelines if name in each.environments]


def find(root: Path, changes: Changes) -> Affected:
    """What `changes` are about, for the working tree at `root`."""
    names, environments = store.names(root), tuple(store.environments(root))
    if changes.everything:
        every = tuple(Concerned(name, environments, (changes.why,)) for name in names)
        return Affected(every, why=changes.why)
    rooms = {name: _containers(root, name) for name in names}
    scripts = {name: _scripts(root, name) for name in names}
    found = of_files(
        changes.files,
        containers=rooms,
        scripts=scripts,
        environments=environments,
        deployed=sources.deployed(root),
        before=lambda path: git.show(root, changes.base, path),
        now=lambda path: git.show(root, changes.head, path),
        why=changes.why,
    )
    return replace(found, base=changes.base)


def of_files(
    files: Iterable[str],
    *,
    containers: Mapping[str, frozenset[str]],
    scripts: Mapping[str, frozenset[str]],
    environments: tuple[str, ...],
    deployed: frozenset[str],
    before: Texts,
    now: Texts,
    why: str = "",
) -> Affected:
    """The pure part: from changed paths to pipelines.

    Args:
        containers: pipeline -> folders under container/ that its image is made of.
        scripts: pipeline -> what its Glue jobs run, files or folders; () where it has none.
        environments: all there are.
        deployed: modules of ours that decide what is deployed.
        before, now: a path's text at either commit, None where it is not.
    """
    reasons: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    ignored: list[str] = []
    gone: set[str] = set()

    def note(names: Iterable[str], wherever: Iterable[str], reason: str) -> None:
        for name in names:
            for environment in wherever:
                if reason not in reasons[name][environment]:
                    reasons[name][environment].append(reason)

    everyone = list(containers)
    for path in files:
        if path == PROJECT:
            note(
                everyone, _differing(before(path), now(path), environments, _project_view), f"{path} changed"
            )
        elif path.startswith(DEFINITIONS) and path.count("/") > 2:
            name = path.removeprefix(DEFINITIONS).partition("/")[0]
            if name not in containers:
                gone.add(name)
                continue
            where = environments
            if path == f"{DEFINITIONS}{name}/{SETTINGS}":
                where = _differing(before(path), now(path), environments, _pipeline_view)
            note([name], where, f"its own room: {path}")
        elif path.startswith(CONTAINERS):
            folder = path.removeprefix(CONTAINERS).partition("/")[0]
            users = [name for name, folders in containers.items() if folder in folders]
            note(users, environments, f"its image: {CONTAINERS}{folder}")
            ignored += [] if users else [path]
        elif path.startswith(SCRIPTS):
            users = [name for name, used in scripts.items() if path.startswith(tuple(used))]
            note(users, environments, f"its Glue scripts: {path}")
            ignored += [] if users else [path]
        elif path == LOCK or path.startswith(ACCOUNT):
            note(everyone, environments, f"shared by all: {path}")
        elif sources.belongs(path, deployed):
            note(everyone, environments, f"shared code: {path}")
        else:
            ignored.append(path)
    found = [
        Concerned(
            name,
            tuple(each for each in environments if each in reasons[name]),
            tuple(dict.fromkeys(r for each in environments for r in reasons[name].get(each, ()))),
        )
        for name in containers
        if any(reasons.get(name, {}).values())
    ]
    return Affected(tuple(found), tuple(ignored), tuple(sorted(gone)), why)


def _layers(root: Path, name: str) -> list[dict[str, Any]]:
    """A pipeline's settings, and what differs in each environment."""
    table = _table((root / DEFINITIONS / name / SETTINGS).read_text(encoding="utf-8"))
    overlays = table.get("environments")
    layers = [table, *(overlays.values() if isinstance(overlays, dict) else ())]
    return [layer for layer in layers if isinstance(layer, dict)]


def _scripts(root: Path, name: str) -> frozenset[str]:
    """Glue scripts of the pipeline in any environment, and the library that all scripts use."""
    found: set[str] = set()
    for layer in _layers(root, name):
        transforms = layer.get("transforms")
        tables = transforms.values() if isinstance(transforms, dict) else ()
        found |= {
            f"{SCRIPTS}{each['script']}" for each in tables if isinstance(each, dict) and "script" in each
        }
        found |= {MONITOR} if "monitor" in layer else set()
    return frozenset(found | {LIBRARY}) if found else frozenset()


def _containers(root: Path, name: str) -> frozenset[str]:
    """Folders of container/ that the pipeline's image is made of, in any environment."""
    named = {str(layer["container"]) for layer in _layers(root, name) if "container" in layer}
    shared = {each for folder in named for each in uses(root / CONTAINERS / folder)}
    return frozenset(named | shared)


def _differing(
    before: str | None,
    now: str | None,
    environments: tuple[str, ...],
    view: Callable[[Mapping[str, Any], str], Any],
) -> tuple[str, ...]:
    """Environments in which the two texts say something else."""
    if before is None or now is None:
        return environments
    old, new = _table(before), _table(now)
    return tuple(each for each in environments if view(old, each) != view(new, each))


def _project_view(table: Mapping[str, Any], environment: str) -> Any:
    own = (table.get("environments") or {}).get(environment)
    return table.get("project"), _laid_over(table.get("defaults") or {}, own or {}), own is None


def _pipeline_view(table: Mapping[str, Any], environment: str) -> Any:
    base = {key: value for key, value in table.items() if key != "environments"}
    return _laid_over(base, (table.get("environments") or {}).get(environment) or {})


def _laid_over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = (
            _laid_over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
        )
    return merged


def _table(text: str) -> dict[str, Any]:
    """TOML as data; what is not TOML equals nothing, so every environment differs and the checks say why."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {"": text}
