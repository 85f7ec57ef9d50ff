"""A buildspec as data: read, checked, its two versions told apart.

https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from pipeline.errors import SettingsError

PHASES = ("install", "pre_build", "build", "post_build")
_ENV = {
    "shell",
    "variables",
    "parameter-store",
    "secrets-manager",
    "exported-variables",
    "git-credential-helper",
}
_TOP = {"version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache"}
_PHASE = {"run-as", "on-failure", "runtime-versions", "commands", "finally"}


@dataclass(frozen=True)
class Phase:
    """Commands of one phase; `last` are run whatever becomes of them."""

    name: str
    commands: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    on_failure: Literal["ABORT", "CONTINUE"] = "ABORT"


@dataclass(frozen=True)
class Spec:
    """A whole buildspec.

    Args:
        one_shell: version 0.2 runs all commands in one shell; 0.1 each in its own.
        parameters, secrets: variable -> name in Parameter Store; variable -> `id[:key[:stage[:version]]]`.
        exported: names of variables that the build tells at its end.
        artifacts, excluded: patterns of files to keep, and of those not to, below `base_directory`.
        artifacts_name: what they are called together, where the project lets the buildspec say.
        discard_paths: keep the files' names alone.
        cached: patterns of what the next build gets.
    """

    version: str
    phases: tuple[Phase, ...]
    shell: str = "sh"
    one_shell: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    exported: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    base_directory: str = "."
    artifacts_name: str = ""
    discard_paths: bool = False
    excluded: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()


def parse(text: str, where: str = "buildspec.yml") -> Spec:
    """The buildspec in `text`.

    Raises:
        SettingsError: not YAML, another version, or something that CodeBuild does not know.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"is not YAML: {error}", where=where) from error
    if not isinstance(data, dict):
        raise SettingsError("is no buildspec: it has no keys", where=where)
    version = str(data.get("version", ""))
    if version not in ("0.1", "0.2"):
        raise SettingsError(f"version {version or 'none'} is not known", where=where, hint="version: 0.2")
    _known(data, _TOP, where)
    env = _table(data, "env", where)
    _known(env, _ENV, f"{where}: env")
    given = _table(data, "phases", where)
    _known(given, set(PHASES), f"{where}: phases")
    artifacts = _table(data, "artifacts", where)
    return Spec(
        version=version,
        phases=tuple(_phase(name, given[name], where) for name in PHASES if name in given),
        shell=str(env.get("shell", "sh")),
        one_shell=version == "0.2",
        variables=_texts(env, "variables", where),
        parameters=_texts(env, "parameter-store", where),
        secrets=_texts(env, "secrets-manager", where),
        exported=tuple(_list(env, "exported-variables", where)),
        artifacts=tuple(_list(artifacts, "files", where)),
        base_directory=str(artifacts.get("base-directory", ".")),
        artifacts_name=str(artifacts.get("name", "")),
        discard_paths=str(artifacts.get("discard-paths", "no")).lower() in ("yes", "true"),
        excluded=tuple(_list(artifacts, "exclude-paths", where)),
        cached=tuple(_list(_table(data, "cache", where), "paths", where)),
    )


def _phase(name: str, given: Any, where: str) -> Phase:
    place = f"{where}: phases.{name}"
    if not isinstance(given, dict):
        raise SettingsError("must hold commands", where=place)
    _known(given, _PHASE, place)
    failure = given.get("on-failure", "ABORT")
    if failure not in ("ABORT", "CONTINUE"):
        raise SettingsError(
            f"on-failure {failure!r} is not known here", where=place, hint="ABORT or CONTINUE"
        )
    commands, last = _list(given, "commands", place), _list(given, "finally", place)
    if not commands and not last and "runtime-versions" not in given:
        raise SettingsError("has no commands", where=place)
    return Phase(name, tuple(commands), tuple(last), failure)


def _known(given: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(map(str, given)) - known)
    if unknown:
        raise SettingsError(
            f"unknown key {unknown[0]!r}", where=where, hint=f"known: {', '.join(sorted(known))}"
        )


def _table(data: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = data.get(key) or {}
    if not isinstance(value, dict):
        raise SettingsError("must be a table", where=f"{where}: {key}")
    return value


def _texts(data: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in _table(data, key, where).items()}


def _list(data: Mapping[str, Any], key: str, where: str) -> list[str]:
    value = data.get(key) or []
    if not isinstance(value, list):
        raise SettingsError("must be a list", where=f"{where}: {key}")
    return [str(each) for each in value]
