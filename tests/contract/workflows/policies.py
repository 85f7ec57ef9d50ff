"""What the workflows promise, as rules over their text: act and GitHub's own checks look at none of it.

`violations(files)` takes every file under .github by its path and returns one line for each broken promise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

Files = Mapping[str, str]
Job = Mapping[str, Any]

PULL_REQUEST, COMMENT, MERGE = "pull-request.yml", "comment.yml", "merge.yml"
RELEASE, ROLLBACK, SCHEDULE = "release.yml", "rollback.yml", "schedule.yml"
WORKFLOWS = {PULL_REQUEST, COMMENT, MERGE, RELEASE, ROLLBACK, SCHEDULE, "ci.yml", "security.yml"}

READ = {"contents": "read"}
OIDC = {**READ, "id-token": "write"}
# Exactly these: a right more is a right too many.
RIGHTS: dict[str, dict[str, dict[str, str]]] = {
    PULL_REQUEST: {"affected": READ, "check": READ, "plan": OIDC, "plan-fork": READ, "required": READ},
    COMMENT: {"comment": {**READ, "actions": "read", "pull-requests": "write"}},
    MERGE: {
        "affected": {**READ, "actions": "read"},
        "apply": {**OIDC, "actions": "read", "pull-requests": "read"},
        "provenance": {"id-token": "write", "attestations": "write"},
        "result": READ,
    },
    RELEASE: {"affected": READ, "promote": {**OIDC, "actions": "read"}, "result": READ},
    ROLLBACK: {"rollback": OIDC},
    SCHEDULE: {"affected": READ, "retrain": OIDC, "drift": {**OIDC, "issues": "write"}},
    "ci.yml": {"lint": READ, "test": READ, "ci-required": READ},
    "security.yml": {"workflows": READ, "dependencies": READ},
}
MAIN = {"branches": ["main"]}
TRIGGERS: dict[str, dict[str, Any]] = {
    PULL_REQUEST: {"pull_request": MAIN, "merge_group": MAIN},
    COMMENT: {"workflow_run": {"workflows": ["pull request"], "types": ["completed"]}},
    MERGE: {"push": MAIN, "workflow_dispatch": ...},
    RELEASE: {"push": {"tags": ["v*"]}},
    ROLLBACK: {"workflow_dispatch": ...},
    SCHEDULE: {"schedule": ..., "workflow_dispatch": ...},
    "ci.yml": {"pull_request": MAIN, "merge_group": MAIN, "push": MAIN},
    "security.yml": {"pull_request": MAIN, "push": MAIN, "schedule": ...},
}
# What changes an environment: with its role, in its line, behind its reviewers.
DEPLOYING = ("apply", "promote", "rollback", "retrain")
NEEDS_TOKEN = ("apply", "promote", "comment", "drift")
SAME_REPOSITORY = "github.event.pull_request.head.repo.full_name == github.repository"
CALL = re.compile(r'\.venv/bin/python -m pipeline ci [a-z]+( (--?[a-z-]+|[A-Za-z0-9_./-]+|"\$[A-Z_]+"))*')
PLAIN = re.compile(r"(make [a-z-]+|scripts/[a-z-]+)")
PIN = re.compile(r"uses: (\S+?)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$")


def violations(files: Files) -> list[str]:
    """Every broken promise of these files, as `file: what`."""
    found = list(_pins(files))
    workflows = {
        path.rpartition("/")[2]: yaml.safe_load(text)
        for path, text in files.items()
        if path.startswith(".github/workflows/")
    }
    if set(workflows) != WORKFLOWS:
        found.append(f"workflows: {sorted(set(workflows) ^ WORKFLOWS)} are too many or missing")
    for name, data in workflows.items():
        found += [f"{name}: {each}" for each in _workflow(name, data)]
    found += _lines(workflows)
    found += [f"dependabot.yml: {each}" for each in _dependabot(files)]
    return found


def calls(files: Files) -> list[tuple[str, str]]:
    """Every call of ours in a workflow: (file, command)."""
    return [
        (path, step["run"])
        for path, text in files.items()
        if path.startswith(".github/workflows/")
        for job in yaml.safe_load(text)["jobs"].values()
        for step in job["steps"]
        if "pipeline ci" in step.get("run", "")
    ]


def _workflow(name: str, data: Mapping[Any, Any]) -> Iterator[str]:
    if data.get("permissions") != {}:
        yield "permissions at the top are not {}"
    triggers = data.get(True) or data.get("on")
    yield from _triggers(name, triggers)
    jobs = data["jobs"]
    if set(jobs) != set(RIGHTS.get(name, {})):
        yield f"jobs {sorted(jobs)} are not those with rights in the policy"
    text = str(data)
    for word in (
        "pull_request_target",
        "secrets.",
        "secrets[",
        "AWS_ACCESS_KEY",
        "aws-access-key",
        "self-hosted",
    ):
        if word in text:
            yield f"{word} has no place here"
    for job_name, job in jobs.items():
        for problem in _job(name, job_name, job):
            yield f"{job_name}: {problem}"
    if name in (PULL_REQUEST, "ci.yml"):
        yield from _required(jobs, "required" if name == PULL_REQUEST else "ci-required")
    if name in (MERGE, RELEASE):
        yield from _required(jobs, "result")
    if name == PULL_REQUEST:
        yield from _forks(jobs)
    if name == COMMENT:
        yield from _trusted(jobs)
    if name == MERGE:
        yield from _sealed(jobs)


def _triggers(name: str, triggers: Any) -> Iterator[str]:
    wanted = TRIGGERS.get(name, {})
    if not isinstance(triggers, dict) or set(triggers) != set(wanted):
        yield f"starts on {triggers!r}"
        return
    for event, filters in wanted.items():
        if filters is not ... and triggers[event] != filters:
            yield f"starts on {event} with {triggers[event]!r}, not {filters!r}"


def _job(name: str, job_name: str, job: Job) -> Iterator[str]:
    wanted = RIGHTS.get(name, {}).get(job_name)
    if wanted is not None and job.get("permissions") != wanted:
        yield f"permissions {job.get('permissions')} are not {wanted}"
    if not isinstance(job.get("timeout-minutes"), int):
        yield "no timeout-minutes"
    if job.get("runs-on") != "ubuntu-24.04":
        yield f"runs on {job.get('runs-on')}"
    if job.get("continue-on-error"):
        yield "continues on error"
    verb = ""
    for step in job["steps"]:
        if step.get("continue-on-error"):
            yield f"{step.get('name')}: continues on error"
        if "run" in step:
            yield from _run(name, step)
            verb = verb or _verb(step["run"])
        uses = step.get("uses", "")
        if uses.startswith("actions/checkout@"):
            given = step.get("with") or {}
            if given.get("persist-credentials") is not False:
                yield "checkout leaves its token behind"
            if given.get("allow-unsafe-pr-checkout"):
                yield "checks out a pull request where it must not"
    if verb in DEPLOYING:
        yield from _deploys(job)
    elif "environment" in job:
        yield "takes an environment's identity without deploying"
    if verb in NEEDS_TOKEN and not any("GITHUB_TOKEN" in (s.get("env") or {}) for s in job["steps"]):
        yield f"{verb} asks the forge, and has no GITHUB_TOKEN"


def _run(name: str, step: Mapping[str, Any]) -> Iterator[str]:
    command = str(step["run"])
    if "${{" in command:
        yield f"{command!r} has an expression in a shell line"
    known = CALL.fullmatch(command) or (name in ("ci.yml", "security.yml") and PLAIN.fullmatch(command))
    if not known:
        yield f"{command!r} is not one call"
    for variable in re.findall(r"\$([A-Z_]+)", command):
        if variable not in (step.get("env") or {}):
            yield f"{command!r} uses ${variable}, which the step does not set"


def _verb(command: str) -> str:
    match = re.search(r"pipeline ci ([a-z]+)", command)
    return match[1] if match else ""


def _deploys(job: Job) -> Iterator[str]:
    environment = job.get("environment")
    name = environment.get("name") if isinstance(environment, dict) else environment
    if not name:
        yield "deploys outside an environment"
    line = job.get("concurrency")
    if not isinstance(line, dict):
        yield "deploys without waiting for others"
        return
    if line.get("group") != f"deploy-{name}":
        yield f"waits in {line.get('group')!r}, not in its environment's line"
    if line.get("cancel-in-progress") is not False:
        yield "a deployment may be cancelled half-way"
    if line.get("queue") != "max":
        yield "a third deployment would push the second out of the line"


def _lines(workflows: Mapping[str, Any]) -> Iterator[str]:
    """All that deploy to an environment wait in one line, rollback too."""
    groups = {}
    for name, data in workflows.items():
        for job_name, job in data["jobs"].items():
            if any(_verb(step.get("run", "")) in DEPLOYING for step in job["steps"]):
                group = str((job.get("concurrency") or {}).get("group", ""))
                groups[f"{name} {job_name}"] = re.sub(r"\$\{\{.*?\}\}", "X", group)
    if len(set(groups.values())) > 1:
        yield f"deployments wait in different lines: {groups}"


def _required(jobs: Mapping[str, Job], name: str) -> Iterator[str]:
    job = jobs.get(name)
    if job is None:
        yield f"no job {name}"
        return
    missing = set(jobs) - {name} - set(job.get("needs") or ())
    if missing:
        yield f"{name} does not need {sorted(missing)}"
    if job.get("if") != "always()":
        yield f"{name} is skipped when a job fails, and a skipped check passes"
    step = job["steps"][-1]
    if (step.get("env") or {}).get("NEEDS") != "${{ toJSON(needs) }}":
        yield f"{name} does not look at its needs"
    if _verb(step.get("run", "")) not in ("required", "summary"):
        yield f"{name} decides nothing"


def _forks(jobs: Mapping[str, Job]) -> Iterator[str]:
    """What a fork's pull request can start has nothing to steal."""
    for name, job in jobs.items():
        ours = SAME_REPOSITORY in " ".join(str(job.get("if", "")).split())
        rights = job.get("permissions") or {}
        if not ours and ("write" in rights.values() or not set(rights.items()) <= set(READ.items())):
            yield f"{name}: a fork's pull request would get {rights}"
        if not ours and "github.token" in str(job):
            yield f"{name}: a fork's pull request would get a token in a step's environment"
        if not ours and "environment" in job:
            yield f"{name}: a fork's pull request would enter an environment"
    if "!=" not in str(jobs.get("plan-fork", {}).get("if", "")):
        yield "plan-fork runs for branches of the repository itself"
    if not any("--offline" in step.get("run", "") for step in jobs.get("plan-fork", {}).get("steps", ())):
        yield "plan-fork asks for what is deployed"


def _trusted(jobs: Mapping[str, Job]) -> Iterator[str]:
    """What may write comments runs nothing of the pull request."""
    job = jobs.get("comment", {})
    if job.get("if") != "github.event.workflow_run.event == 'pull_request'":
        yield "comment: runs for other events than a pull request"
    for step in job.get("steps", ()):
        if step.get("uses", "").startswith("actions/checkout@"):
            given = step.get("with") or {}
            if set(given) != {"persist-credentials"}:
                yield "comment: checks out something else than the default branch"
        if step.get("uses", "").startswith("actions/download-artifact@"):
            yield "comment: unpacks an artifact unchecked"
        if "head" in str(step):
            yield "comment: uses something of the pull request's head"


def _sealed(jobs: Mapping[str, Job]) -> Iterator[str]:
    steps = jobs.get("provenance", {}).get("steps", ())
    if not any(step.get("uses", "").startswith("actions/attest@") for step in steps):
        yield "provenance: attests nothing"


def _pins(files: Files) -> Iterator[str]:
    """Every action of others by its whole commit, with the version for people, the same one everywhere."""
    seen: dict[str, tuple[str, str]] = {}
    for path, text in files.items():
        for line in text.splitlines():
            if not re.match(r"\s*(- )?uses:", line):
                continue
            if "uses: ./.github/actions/" in line:
                continue
            match = PIN.search(line)
            if not match:
                yield f"{path}: {line.strip()} is not pinned by commit with its version beside it"
                continue
            action, pin = match[1], (match[2], match[3])
            if seen.setdefault(action, pin) != pin:
                yield f"{path}: {action} is pinned to {pin}, elsewhere to {seen[action]}"


def _dependabot(files: Files) -> Iterator[str]:
    data = yaml.safe_load(files[".github/dependabot.yml"])
    kinds = {each["package-ecosystem"] for each in data["updates"]}
    if not {"github-actions", "pip", "docker"} <= kinds:
        yield f"watches only {sorted(kinds)}"
    for each in data["updates"]:
        if (each.get("cooldown") or {}).get("default-days", 0) < 7:
            yield f"{each['package-ecosystem']} takes a release on the day it comes out"
