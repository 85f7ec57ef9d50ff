"""A plan without credentials and without a target: the working tree against a commit of the repository.

The commit is unpacked into a folder that is gone afterwards and rendered by its own code, in a process whose
environment holds no credentials. What only a target knows (the image's digest, what stands, what ran) stays
unknown.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline import git
from pipeline.aws.stacks import Stack
from pipeline.errors import SettingsError
from pipeline.image import resolve
from pipeline.plan import desired, registry, skips
from pipeline.plan import template as templates
from pipeline.plan.model import IMAGE_PARAMETER, ImageAction, Plan, UploadAction
from pipeline.plan.observed import Facts
from pipeline.plan.skips import Forecast
from pipeline.plan.template import filled
from pipeline.render import render

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

DEFAULT_BASES = ("origin/HEAD", "origin/main", "main")
TIMEOUT_SECONDS = 180
UNKNOWN = (
    "what is deployed: compared with a commit instead, so changes by hand do not show",
    "the image's digest, and whether the registry has it",
    "what a run would skip by what was made already",
    "how long jobs took",
    "which model serves now, and its metrics",
)
# Runs inside the unpacked commit, with that commit's own code. Only what has long been there is used.
_RENDER = """
import json, sys
from pathlib import Path
from pipeline import settings
from pipeline.image import resolve
from pipeline.names import Names
from pipeline.render import account, render
root = Path.cwd()
name, environment = sys.argv[1:]
if name not in settings.names(root) or environment not in settings.environments(root):
    print(json.dumps(None)); raise SystemExit
loaded = settings.load(root, name, environment)
rendered, image = render(loaded), resolve.source(loaded)
print(json.dumps({
    "template": rendered.template, "account": account(loaded), "project": loaded.project.name,
    "stack_name": loaded.stack_name, "tags": Names.of(loaded).tags, "bucket": loaded.artifact_bucket,
    "code": [package.key for package in rendered.code],
    "repository": image.repository, "tag": image.tag, "account_id": loaded.environment.account,
}, default=str))
"""
_KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "XDG_CACHE_HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "PIPELINE_BASE_IMAGE",
    # Both sides are of one repository: the roles of its workflows are no change.
    "PIPELINE_GITHUB_REPOSITORY",
    "TMPDIR",
)


@dataclass(frozen=True)
class _Base:
    """What the commit wants to stand; `stacks` by name, `code` the keys of its functions."""

    stacks: Mapping[str, Stack]
    code: frozenset[str]
    tag: str


def compute(settings: Settings, ref: str | None = None) -> Plan:
    """The plan of the working tree against the commit `ref` (None: the repository's main branch).

    Raises:
        SettingsError: no such commit, or it cannot be rendered.
    """
    root = Path(settings.root)
    commit, name = resolve_base(root, ref)
    region, account = settings.environment.region, settings.environment.account
    host = f"{account}.dkr.ecr.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
    then = _at(settings, commit, name, host)
    rendered, source = render(settings), resolve.source(settings)
    image = _image(source, then, name, "workflow" if settings.pipeline.build else "build")
    by_type = functools.partial(registry.replaces, region=region)
    standing = then.stacks if then else {}
    account_wanted = desired.account(settings)
    account_stack = desired.action(account_wanted, standing.get(account_wanted.name), by_type)
    wanted = desired.pipeline(settings, rendered, image, host)
    pipeline_stack = desired.action(wanted, standing.get(wanted.name), by_type)
    objects = desired.uploads(settings, rendered, account_stack, pipeline_stack)
    known = then.code if then else frozenset[str]()
    return Plan(
        name=settings.name,
        environment=settings.environment_name,
        account=account,
        region=region,
        account_stack=account_stack,
        uploads=tuple(_present(each, known) for each in objects),
        image=image,
        pipeline_stack=pipeline_stack,
        against=f"{name} ({commit[:12]})",
    )


def facts(plan: Plan) -> Facts:
    """What two templates tell of the next run, and what nobody was asked."""
    before = filled(
        json.loads(plan.pipeline_stack.before or "{}"), dict(plan.pipeline_stack.before_parameters)
    )
    after = filled(json.loads(plan.pipeline_stack.template), dict(plan.pipeline_stack.parameters))
    changed = skips.recipes(_fingerprints(before), _fingerprints(after) or {})
    why = "offline: nobody was asked what was made already"
    return Facts(Forecast(why_not=why, recipes=changed or None), serving=False, unknown=UNKNOWN)


def _fingerprints(template: Mapping[str, Any]) -> dict[str, Any] | None:
    for resource in (template.get("Resources") or {}).values():
        text = resource.get("Properties", {}).get("Environment", {}).get("Variables", {}).get("FINGERPRINTS")
        if isinstance(text, str):
            found: dict[str, Any] = json.loads(text)
            return found
    return None


def resolve_base(root: Path, ref: str | None) -> tuple[str, str]:
    """The commit and the name it was asked for by.

    Raises:
        SettingsError: there is none.
    """
    for name in [ref] if ref else DEFAULT_BASES:
        # A name that begins with a hyphen would be an option.
        code, commit, _ = git.ask(
            root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )
        if code == 0 and commit:
            return commit, name
    raise SettingsError(
        f"no commit {ref!r} here" if ref else f"none of {', '.join(DEFAULT_BASES)} is there to compare with",
        where=str(root),
        hint="name one with --base, and fetch it: a shallow clone has only what it was told to fetch",
    )


def _image(
    source: resolve.ImageSource, then: _Base | None, name: str, how: Literal["build", "workflow"]
) -> ImageAction:
    if then and then.tag == source.tag:
        return ImageAction(
            source.repository, source.tag, how="reuse", why=f"the container folder is as at {name}"
        )
    return ImageAction(
        source.repository, source.tag, how=how, why=f"the container folder is not as at {name}"
    )


def _present(upload: UploadAction, known: frozenset[str]) -> UploadAction:
    return UploadAction(**{**upload.__dict__, "present": upload.key in known or upload.template})


def _at(settings: Settings, commit: str, name: str, host: str) -> _Base | None:
    """The desired state of a commit; None if it has no such pipeline or environment."""
    with tempfile.TemporaryDirectory(prefix="pipeline-base-") as temporary:
        folder = Path(temporary) / "tree"
        _unpack(Path(settings.root), commit, folder, Path(temporary) / "tree.tar")
        found = _rendered(folder, settings, name)
    if found is None:
        return None
    image = f"{host}/{found['repository']}:{found['tag']}"
    account_name = f"{found['project']}-account"
    template, account = templates.parse(found["template"]), templates.parse(found["account"])
    offered = {IMAGE_PARAMETER: image, "ArtifactBucket": found["bucket"]}
    tags = {**found["tags"], desired.ACCOUNT_STACK_TAG: account_name}
    account_tags = {"project": found["project"], "managed-by": "gitops"}
    given = desired.declared(account, {"Project": found["project"]})
    status = "UPDATE_COMPLETE"
    pipeline = Stack(
        name=found["stack_name"],
        id="",
        status=status,
        template=template,
        parameters=desired.declared(template, offered),
        tags=tags,
    )
    shared = Stack(
        name=account_name, id="", status=status, template=account, parameters=given, tags=account_tags
    )
    return _Base({s.name: s for s in (pipeline, shared)}, frozenset(found["code"]), found["tag"])


def _unpack(root: Path, commit: str, folder: Path, archive: Path) -> None:
    code, _, said = git.ask(root, "archive", "--format=tar", f"--output={archive}", commit)
    if code != 0:
        raise SettingsError(f"cannot unpack {commit[:12]}: {said}", where=str(root))
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def _rendered(folder: Path, settings: Settings, name: str) -> dict[str, Any] | None:
    if not (folder / "pipeline" / "definitions" / settings.name).is_dir():
        return None
    environment = {key: os.environ[key] for key in _KEPT_VARIABLES if key in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _RENDER, settings.name, settings.environment_name],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        found: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else {}
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise SettingsError(
            f"cannot render {name}: {error}", hint="compare with another: --base REF"
        ) from error
    if found == {}:
        tail = "\n".join(done.stderr.strip().splitlines()[-3:])
        raise SettingsError(f"cannot render {name}: {tail}", hint="compare with another: --base REF")
    return found
