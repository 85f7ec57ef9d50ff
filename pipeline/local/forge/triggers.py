"""Which workflows an event starts: what `on:` says, which act does not look at.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#on
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import SettingsError
from pipeline.local.forge import git
from pipeline.local.forge.events import Event

FOLDER = ".github/workflows"
_TYPES = {"pull_request": ("opened", "synchronize", "reopened")}


def workflows(repository: Path, commit: str) -> dict[str, dict[str, Any]]:
    """The workflow files of a commit, parsed, by path.

    Raises:
        SettingsError: a file is no workflow.
    """
    listed = git.git(repository, "ls-tree", "-r", "--name-only", commit, "--", f"{FOLDER}/").splitlines()
    found = {}
    for path in listed:
        if path.endswith((".yml", ".yaml")) and path.count("/") == FOLDER.count("/") + 1:
            found[path] = parse(git.git(repository, "show", f"{commit}:{path}"), path)
    return found


def parse(text: str, path: str) -> dict[str, Any]:
    """A workflow as data. YAML 1.1 takes the key `on` for true; it is `on` again here."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"is not YAML: {error}", where=path) from error
    if not isinstance(data, dict) or not isinstance(data.get("jobs"), dict):
        raise SettingsError("is no workflow: it has no jobs", where=path)
    if True in data:
        data["on"] = data.pop(True)
    return data


def triggers(workflow: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`on` in its long form: event -> its filters."""
    on = workflow.get("on")
    if isinstance(on, str):
        return {on: {}}
    if isinstance(on, list):
        return {str(name): {} for name in on}
    if isinstance(on, dict):
        return {str(name): _filters(value) for name, value in on.items()}
    return {}


def check_inputs(workflow: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """What GitHub answers with 422 to somebody who starts a workflow by hand.

    Raises:
        SettingsError: an input that it has not, or a required one that is missing.
    """
    inputs = triggers(workflow).get("workflow_dispatch", {}).get("inputs") or {}
    known = f"its inputs: {', '.join(inputs) or 'none'}"
    strange = [name for name in given if name not in inputs]
    if strange:
        raise SettingsError(f"the workflow has no input {strange[0]!r}", hint=known)
    missing = [
        name
        for name, about in inputs.items()
        if isinstance(about, dict)
        and about.get("required") is True
        and "default" not in about
        and not given.get(name)
    ]
    if missing:
        raise SettingsError(f"required: {', '.join(missing)}", hint=f"-f {missing[0]}=VALUE; {known}")


def _filters(value: Any) -> dict[str, Any]:
    if isinstance(value, list):  # of a schedule
        return {"cron": [entry.get("cron") for entry in value if isinstance(entry, dict)]}
    return dict(value) if isinstance(value, dict) else {}


def starts(workflow: Mapping[str, Any], path: str, event: Event) -> bool:
    """Whether the event starts this workflow."""
    wanted = triggers(workflow).get(event.name)
    if wanted is None:
        return False
    if event.name in ("workflow_dispatch", "schedule"):
        return Path(path).name == Path(event.only).name
    if event.name == "workflow_run":
        return _after(wanted, event)
    action = event.payload.get("action")
    types = wanted.get("types", _TYPES.get(event.name))
    if types is not None and action not in _listed(types):
        return False
    return _ref_passes(wanted, event) and _paths_pass(wanted, event)


def _after(wanted: Mapping[str, Any], event: Event) -> bool:
    run = event.payload["workflow_run"]
    if run["name"] not in _listed(wanted.get("workflows", [])):
        return False
    if event.payload["action"] not in _listed(wanted.get("types", ["requested", "completed"])):
        return False
    return _ref_passes(wanted, event)


def _ref_passes(wanted: Mapping[str, Any], event: Event) -> bool:
    """Branch and tag filters. A push that has filters of one kind only is not started by the other kind."""
    kinds = [kind for kind in ("branches", "tags") if kind in wanted or f"{kind}-ignore" in wanted]
    if not kinds:
        return True
    kind, name = ("tags", event.tag) if event.tag else ("branches", event.branch)
    if kind not in kinds:
        return False
    if kind in wanted:
        return matches(name, _listed(wanted[kind]))
    return not matches(name, _listed(wanted[f"{kind}-ignore"]))


def _paths_pass(wanted: Mapping[str, Any], event: Event) -> bool:
    # Path filters are not looked at for tags, nor where there is no difference to look at.
    if event.paths is None or event.tag:
        return True
    if "paths" in wanted:
        return any(matches(path, _listed(wanted["paths"])) for path in event.paths)
    if "paths-ignore" in wanted:
        return not all(matches(path, _listed(wanted["paths-ignore"])) for path in event.paths)
    return True


def _listed(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether `name` passes the patterns, in their order; one that begins with ! takes back."""
    passed = False
    for pattern in patterns:
        if pattern.startswith("!"):
            passed = passed and not _regex(pattern[1:]).fullmatch(name)
        else:
            passed = passed or bool(_regex(pattern).fullmatch(name))
    return passed


def _regex(pattern: str) -> re.Pattern[str]:
    """Filter patterns: * stops at a slash, ** does not; ? and + repeat what is before; [] is a class."""
    out, i = "", 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            out, i = out + "(?:.*/)?", i + 3
        elif pattern.startswith("**", i):
            out, i = out + ".*", i + 2
        elif pattern[i] == "*":
            out, i = out + "[^/]*", i + 1
        elif pattern[i] in "?+":
            out, i = out + pattern[i], i + 1
        elif pattern[i] == "[" and "]" in pattern[i:]:
            end = pattern.index("]", i)
            out, i = out + pattern[i : end + 1], end + 1
        else:
            out, i = out + re.escape(pattern[i]), i + 1
    return re.compile(out)
