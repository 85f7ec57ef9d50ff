"""Find the files, merge the overlays, validate all of it, and say every error at once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.errors import ErrorGroup, PipelineError, SettingsError
from pipeline.settings import combinations, toml_file
from pipeline.settings.layers import Layer, Merged, dotted, merge
from pipeline.settings.model import Environment, GitHub, PipelineSettings, Project, Settings
from pipeline.settings.monitor_problems import serverless_problems
from pipeline.settings.problems import unknown, validation_errors
from pipeline.settings.toml_file import Key, TomlFile

PROJECT_FILE = "pipeline.toml"
DEFINITIONS = Path("pipeline/definitions")
SETTINGS_FILE = "settings.toml"
REPOSITORY_VARIABLE = "PIPELINE_GITHUB_REPOSITORY"
_PROJECT_TABLES = ("project", "defaults", "environments")


def find_root(start: Path | None = None) -> Path:
    """The nearest folder from `start` (default: the current one) upward that holds pipeline.toml."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise SettingsError(
        f"no {PROJECT_FILE} in {start} or a folder above it",
        hint=f"change into the repository that holds {PROJECT_FILE}",
    )


def names(root: Path) -> list[str]:
    """All pipelines of the repository, sorted: the folders of pipeline/definitions with a settings.toml."""
    return sorted(path.parent.name for path in (root / DEFINITIONS).glob(f"*/{SETTINGS_FILE}"))


def environments(root: Path) -> list[str]:
    """All environments of pipeline.toml, in its order."""
    table = toml_file.read(root / PROJECT_FILE, PROJECT_FILE).data.get("environments")
    return list(table) if isinstance(table, dict) else []


def project(root: Path) -> tuple[Project, dict[str, Environment]]:
    """The project and all its environments, in the file's order: what accounts are rendered from.

    Raises:
        ErrorGroup: of SettingsError, with every error of pipeline.toml.
    """
    file = toml_file.read(root / PROJECT_FILE, PROJECT_FILE)
    own = merge([Layer(file, ("project",))])
    errors: list[PipelineError] = [*_shape_errors(file), *validation_errors(Project, own)]
    errors += _found(own, combinations.project_problems(own.data))
    merged = {
        each: merge([Layer(file, ("defaults",)), Layer(file, ("environments", each))])
        for each in _tables(file, "environments")
    }
    for table in merged.values():
        errors += validation_errors(Environment, table)
        errors += _found(table, combinations.environment_problems(table.data))
    if errors:
        raise ErrorGroup(_once(errors))
    found = {each: Environment.model_validate(table.data) for each, table in merged.items()}
    return _with_repository(Project.model_validate(own.data)), found


def _with_repository(project: Project) -> Project:
    """The project, with the repository that the build service names where pipeline.toml names none.

    The local remote does: a clone that has no home on GitHub yet runs its workflows all the same.
    """
    name = os.environ.get(REPOSITORY_VARIABLE)
    if not name or project.github is not None:
        return project
    try:
        return project.model_copy(update={"github": GitHub(repository=name)})
    except ValidationError as error:
        raise SettingsError(f"{name!r} is not owner/name", where=f"${REPOSITORY_VARIABLE}") from error


def load(root: Path, name: str, environment: str | None = None) -> Settings:
    """The effective settings of one pipeline in one environment (None: the project's default).

    The files are checked whole, the overlays of the other environments included. Raises ErrorGroup of
    SettingsError with every error found.
    """
    return _read(root, name, environment)[0]


def explain(root: Path, name: str, environment: str | None = None) -> list[tuple[str, Any, str]]:
    """Every effective value: (dotted key, value, origin).

    The origin is file, line and table (`pipeline.toml:14 [environments.dev]`), or `default`.
    """
    settings, merged = _read(root, name, environment)
    rows: list[tuple[str, Any, str]] = []
    for part, table in merged.items():
        dumped = getattr(settings, part).model_dump(mode="json")
        rows += _rows((part,), dumped, table)
    return rows


def _rows(key: Key, value: Any, merged: Merged) -> list[tuple[str, Any, str]]:
    if isinstance(value, dict) and value:
        children: list[tuple[str | int, Any]] = list(value.items())
    elif isinstance(value, list) and value:
        children = list(enumerate(value))
    else:
        place = merged.places.get(key[1:])
        return [(dotted(key), value, place.origin if place else "default")]
    return [row for name, child in children for row in _rows((*key, name), child, merged)]


def _read(root: Path, name: str, environment: str | None) -> tuple[Settings, dict[str, Merged]]:
    known = names(root)
    if name not in known:
        near, _ = unknown(name, known)
        hint = f"known: {', '.join(known)}" if known else f"create {DEFINITIONS / name / SETTINGS_FILE}"
        raise ErrorGroup([SettingsError(f"unknown pipeline {name!r}{near}", hint=hint)])
    twins = [each for each in known if each != name and each.replace("_", "-") == name.replace("_", "-")]
    if twins:
        what = f"{name!r} and {twins[0]!r} are one name to AWS, which knows no underscore"
        raise ErrorGroup([SettingsError(what, where=str(DEFINITIONS), hint="rename one of the folders")])
    files: list[TomlFile] = []
    errors: list[PipelineError] = []
    for label in (PROJECT_FILE, (DEFINITIONS / name / SETTINGS_FILE).as_posix()):
        try:
            files.append(toml_file.read(root / label, label))
        except SettingsError as error:
            errors.append(error)
    if errors:
        raise ErrorGroup(errors)
    project_file, pipeline_file = files

    own = merge([Layer(project_file, ("project",))])
    errors += _shape_errors(project_file) + validation_errors(Project, own)
    known_environments = _tables(project_file, "environments")
    chosen = environment or str(own.data.get("default_environment", "dev"))
    errors += _environment_errors(project_file, pipeline_file, own, known_environments, environment)

    merged: dict[str, Merged] = {}
    tables: dict[str, Merged] = {}
    for each in known_environments:
        overlay = Layer(project_file, ("environments", each))
        base = Layer(pipeline_file, (), frozenset({"environments"}))
        settings_of = {
            "project": own,
            "environment": merge([Layer(project_file, ("defaults",)), overlay]),
            "pipeline": merge([base, Layer(pipeline_file, ("environments", each))], home=base),
        }
        errors += _content_errors(settings_of, name, each)
        tables[each] = settings_of["environment"]
        if each == chosen:
            merged = settings_of
    for each, (key, what, hint) in combinations.promotion_problems({e: t.data for e, t in tables.items()}):
        errors.append(SettingsError(what, where=tables[each].place(key).where, hint=hint))
    if errors:
        raise ErrorGroup(_once(errors))
    settings = Settings.model_validate(
        {
            "root": root,
            "name": name,
            "environment_name": chosen,
            **{part: table.data for part, table in merged.items()},
        }
    )
    return settings.model_copy(update={"project": _with_repository(settings.project)}), merged


def _tables(file: TomlFile, name: str) -> list[str]:
    table = file.data.get(name)
    return [key for key, value in table.items() if isinstance(value, dict)] if isinstance(table, dict) else []


def _shape_errors(file: TomlFile) -> list[SettingsError]:
    """The top level of pipeline.toml: known tables, and tables they are."""
    errors: list[SettingsError] = []
    top = Layer(file, ())
    for key, value in file.data.items():
        if key not in _PROJECT_TABLES:
            near, hint = unknown(key, _PROJECT_TABLES)
            errors.append(SettingsError(f"unknown key{near}", where=top.place((key,)).where, hint=hint))
        elif not isinstance(value, dict):
            errors.append(
                SettingsError("must be a table", where=top.place((key,)).where, hint=f"write [{key}]")
            )
    if "environments" not in file.data:
        errors.append(
            SettingsError(
                "no environment is defined",
                where=file.label,
                hint="add [environments.dev] with account and region",
            )
        )
    table = file.data.get("environments")
    for key, value in table.items() if isinstance(table, dict) else ():
        if not isinstance(value, dict):
            where = top.place(("environments", key)).where
            errors.append(SettingsError("must be a table", where=where, hint=f"write [environments.{key}]"))
    return errors


def _environment_errors(
    project_file: TomlFile,
    pipeline_file: TomlFile,
    project: Merged,
    known: list[str],
    asked: str | None,
) -> list[SettingsError]:
    """Names of environments that do not exist, wherever they are named."""
    errors: list[SettingsError] = []
    if not known:
        return errors
    if asked is not None and asked not in known:
        near, _ = unknown(asked, known)
        errors.append(
            SettingsError(
                f"unknown environment {asked!r}{near}",
                where=project_file.label,
                hint=f"known: {', '.join(known)}",
            )
        )
    default = project.data.get("default_environment", "dev")
    if isinstance(default, str) and default not in known:
        near, _ = unknown(default, known)
        errors.append(
            SettingsError(
                f"{default!r} is not an environment of this file{near}",
                where=project.place(("default_environment",)).where,
                hint=f"known: {', '.join(known)}",
            )
        )
    overlays = pipeline_file.data.get("environments", {})
    if not isinstance(overlays, dict):
        where = Layer(pipeline_file, ()).place(("environments",)).where
        return [
            *errors,
            SettingsError("must be a table", where=where, hint=f"write [environments.{known[0]}]"),
        ]
    for key, value in overlays.items():
        where = Layer(pipeline_file, ()).place(("environments", key)).where
        if key not in known:
            near, _ = unknown(key, known)
            errors.append(
                SettingsError(f"unknown environment{near}", where=where, hint=f"known: {', '.join(known)}")
            )
        elif not isinstance(value, dict):
            errors.append(SettingsError("must be a table", where=where, hint=f"write [environments.{key}]"))
    return errors


def _content_errors(merged: dict[str, Merged], name: str, environment: str) -> list[SettingsError]:
    """Values and combinations of one environment."""
    errors = validation_errors(Environment, merged["environment"], _pipelines_own(name))
    errors += validation_errors(PipelineSettings, merged["pipeline"], _environments_own())
    errors += _found(merged["environment"], combinations.environment_problems(merged["environment"].data))
    errors += _found(merged["pipeline"], combinations.pipeline_problems(merged["pipeline"].data))
    both = serverless_problems(merged["environment"].data, merged["pipeline"].data)
    errors += _found(merged["pipeline"], both)
    errors += _found(merged["environment"], combinations.name_problems(name, environment))
    errors += _found(merged["project"], combinations.project_problems(merged["project"].data))
    return errors


def _environments_own() -> dict[str, tuple[str, str]]:
    """What a pipeline's settings do not have, because it is the environment's and all pipelines' alike."""
    found = {}
    for key in set(Environment.model_fields) - set(PipelineSettings.model_fields):
        kind = Environment.model_fields[key].annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            how = f"write [defaults.{key}], or [environments.NAME.{key}] for one environment, there"
        else:
            how = f"write {key} under [defaults], or [environments.NAME] for one environment, there"
        found[key] = (PROJECT_FILE, f"{how}; it holds for every pipeline")
    return found


def _pipelines_own(name: str) -> dict[str, tuple[str, str]]:
    """What an environment does not have, because it is each pipeline's own."""
    file = (DEFINITIONS / name / SETTINGS_FILE).as_posix()
    own = set(PipelineSettings.model_fields) - set(Environment.model_fields)
    return dict.fromkeys(own, (file, "write it there; [environments.NAME] there says it for one environment"))


def _found(merged: Merged, problems: Iterable[combinations.Problem]) -> list[SettingsError]:
    return [SettingsError(what, where=merged.place(key).where, hint=hint) for key, what, hint in problems]


def _once(errors: list[PipelineError]) -> list[PipelineError]:
    """Without repetitions: an error of a base table shows in every environment."""
    return list({str(error): error for error in errors}.values())
