"""A workflow as act gets it: with what act ignores (permissions, environments, concurrency) made to hold.

The steps stay as they are. Before them stands one that asks the forge for leave: it waits in the job's
concurrency group, waits for the environment's reviewers, and gets the variables of an OIDC token where the
job has `id-token: write`. After them stands one that gives the group back.
"""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import SettingsError

# Others' actions that jobs use, and the folder of actions/ that stands for each; act itself does a checkout.
STAND_INS = {
    "actions/setup-python": "setup-python",
    "actions/upload-artifact": "upload-artifact",
    "actions/download-artifact": "download-artifact",
    "actions/attest": "attest",
    "actions/attest-build-provenance": "attest",
}
BUILT_IN = frozenset({"actions/checkout"})
ACTIONS = Path(__file__).parent / "actions"
_USES = re.compile(r"^(?P<name>[\w.-]+/[\w.-]+)(?:/[\w./-]+)?@(?P<ref>[\w./-]+)$")


def prepared(workflow: Mapping[str, Any], control: str, code: Path) -> dict[str, Any]:
    """The workflow with the two steps around each job's own.

    Args:
        control: URL of the run's control service (control.py); its secret is in the job's $FORGE_SECRET
            only for these two steps.
        code: the folder that `pipeline.local.forge` is imported from, whatever the checkout holds.
    """
    made = copy.deepcopy(dict(workflow))
    made.pop("concurrency", None)
    for name, job in made["jobs"].items():
        if "uses" in job:
            raise SettingsError(
                f"job {name} calls another workflow, which the local remote does not do",
                hint="call the CLI in a step instead",
            )
        job["name"] = title(str(name), job)
        asked = {
            "FORGE_CONTROL": control,
            "FORGE_JOB": str(name),
            "FORGE_NAME": job["name"],
            "FORGE_ENVIRONMENT": environment(job),
            "FORGE_GROUP": group(job.pop("concurrency", None))[0],
            "FORGE_SECRET": "${{ secrets.FORGE_SECRET }}",
            "PYTHONPATH": str(code),
        }
        python = f"{sys.executable} -m pipeline.local.forge.leave"
        begin = {"name": "Wait for leave", "shell": "bash", "run": f"{python} take", "env": asked}
        end = {
            "name": "Give leave back",
            "if": "always()",
            "shell": "bash",
            "run": f"{python} give",
            "env": dict(asked),
        }
        job["steps"] = [begin, *job.get("steps", []), end]
    return made


def environment(job: Mapping[str, Any]) -> str:
    """The name of a job's environment, an expression as it stands."""
    given = job.get("environment") or ""
    return str(given.get("name", "") if isinstance(given, dict) else given)


def title(name: str, job: Mapping[str, Any]) -> str:
    """What a job is called, an expression as it stands; a matrix's values stand in it in any case."""
    given = str(job.get("name", name))
    matrix = (job.get("strategy") or {}).get("matrix")
    return f"{given} (${{{{ join(matrix.*, ', ') }}}})" if matrix and "${{" not in given else given


def group(concurrency: Any) -> tuple[str, str, bool]:
    """Name, whether it cancels what runs (both as they stand), and whether all may wait rather than one."""
    if concurrency is None:
        return "", "false", False
    if not isinstance(concurrency, dict):
        return str(concurrency), "false", False
    cancels = concurrency.get("cancel-in-progress", False)
    said = str(cancels).lower() if isinstance(cancels, bool) else str(cancels)
    return str(concurrency.get("group", "")), said, concurrency.get("queue") == "max"


def may(workflow: Mapping[str, Any], job: str) -> dict[str, str]:
    """What a job's token may do: its own permissions, else the workflow's."""
    given = workflow["jobs"].get(job, {}).get("permissions", workflow.get("permissions"))
    if given is None:
        # What GitHub gives by default to repositories made since 2023.
        return {"contents": "read", "packages": "read"}
    if isinstance(given, str):
        return {"*": given.removesuffix("-all")}
    return {str(name): str(right) for name, right in given.items()}


def rights(workflow: Mapping[str, Any], fork: bool) -> dict[str, str]:
    """What the run's GITHUB_TOKEN may do: all that some job of it may; a fork's may read at most."""
    order = ("none", "read", "write")
    found: dict[str, str] = {}
    for job in workflow["jobs"]:
        for name, right in may(workflow, job).items():
            best = max(found.get(name, "none"), right, key=order.index)
            found[name] = "read" if fork and best == "write" else best
    if fork:
        found.pop("id-token", None)
    return found


def stand_ins(workflows: Iterable[Mapping[str, Any]], local: Iterable[Mapping[str, Any]]) -> list[str]:
    """act's options that lead every action in use to its stand-in.

    Args:
        local: the repository's own composite actions, whose steps use others.

    Raises:
        SettingsError: an action without a stand-in.
    """
    found: dict[str, Path] = {}
    steps = [step for each in workflows for job in each["jobs"].values() for step in job.get("steps", [])]
    steps += [step for each in local for step in (each.get("runs") or {}).get("steps", [])]
    for step in steps:
        uses = str(step.get("uses", ""))
        if not uses or uses.startswith(("./", "docker://")):
            continue
        match = _USES.match(uses)
        name = match["name"] if match else uses
        if name in BUILT_IN:
            continue
        if name not in STAND_INS or match is None:
            raise SettingsError(
                f"the local remote has nothing that stands for the action {uses}",
                hint=f"it knows {', '.join(sorted([*STAND_INS, *BUILT_IN]))}; call the CLI in a step instead",
            )
        found[f"{name}@{match['ref']}"] = ACTIONS / STAND_INS[name]
    pairs = [f"{uses}={place}" for uses, place in sorted(found.items())]
    return [word for pair in pairs for word in ("--local-repository", pair)]
