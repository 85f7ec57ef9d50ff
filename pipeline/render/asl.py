"""The state machine of a definition: from the cache, or from the one process that imports the SDKs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipeline
from pipeline import caches
from pipeline.errors import DefinitionError
from pipeline.render import build, glue
from pipeline.render.lambdas import sources
from pipeline.render.model import canonical

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

PACKAGE = Path(pipeline.__file__).resolve().parent
# Rendering takes about 5 s; on a machine that does much else at once, several times that.
TIMEOUT_SECONDS = 60


def definition_path(settings: Settings) -> Path:
    return Path(settings.root) / "pipeline" / "definitions" / settings.name / "definition.py"


def settings_json(settings: Settings) -> str:
    """What a definition gets: all settings but the folder they lie in, with the names derived from them.

    `code` says, by content, where the scripts of transforms lie, and the image's context where the workflow
    builds it.
    """
    data = settings.model_dump(mode="json", exclude={"root"})
    for name in ("stack_name", "artifact_bucket", "data_bucket"):
        data[name] = getattr(settings, name)
    data["captured_percent"] = settings.pipeline.captured_percent
    image = build.location(settings)
    if code := {**glue.locations(settings), **({"image": image} if image else {})}:
        data["code"] = code
    return canonical(data)


def load(settings: Settings) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any] | None]:
    """The state machine, the extra IAM statements (PERMISSIONS) of the definition, and [monitor]'s machine.

    Raises:
        DefinitionError: with the file and line where there is one.
    """
    path = definition_path(settings)
    if not path.is_file():
        raise DefinitionError(
            "there is no definition",
            where=_relative(settings, path),
            hint="write def define(settings) in it; pipeline/definitions/iris/definition.py is an example",
        )
    text = settings_json(settings)
    entry = caches.folder("render") / f"{_key(settings, text)}.json"
    with contextlib.suppress(OSError, ValueError, KeyError):
        found = json.loads(entry.read_text())
        return found["asl"], found["permissions"], found["monitor"]
    result = _render(settings, path, text)
    made = result["asl"], result["permissions"], result["monitor"]
    caches.write(entry, canonical(dict(zip(("asl", "permissions", "monitor"), made, strict=True))))
    return made


def _key(settings: Settings, text: str) -> str:
    """Hash of everything the state machine is made from."""
    digest = hashlib.sha256()
    folders = [definition_path(settings).parent, PACKAGE / "steps"]
    files = {
        f"{folder.name}/{file.relative_to(folder)}": file
        for folder in folders
        for file in sources(folder)
        if file.suffix == ".py"
    }
    for file in (PACKAGE / "names.py", PACKAGE / "functions.py", Path(settings.root) / "requirements.lock"):
        files[file.name] = file
    digest.update(f"{sys.version_info[:2]}\n{text}\n".encode())
    for name, file in files.items():
        content = file.read_bytes() if file.is_file() else b""
        digest.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def _render(settings: Settings, path: Path, text: str) -> dict[str, Any]:
    # -P: the user's folder must not shadow modules. The child sees nothing of our environment but the path.
    try:
        process = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-m", "pipeline.steps.child", str(path.resolve())],
            input=text,
            capture_output=True,
            text=True,
            cwd=settings.root,
            env=_environment(settings.environment.region),
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DefinitionError(
            f"did not end within {TIMEOUT_SECONDS} s",
            where=_relative(settings, path),
            hint="a definition only builds the workflow: no endless loop, no waiting for a network",
        ) from None
    try:
        answer: dict[str, Any] = json.loads(process.stdout)
    except ValueError:
        tail = "\n".join(process.stderr.strip().splitlines()[-5:])
        raise DefinitionError(
            f"rendering ended with exit code {process.returncode}: {tail}",
            where=_relative(settings, path),
            hint="make venv puts the locked packages into .venv",
        ) from None
    if "error" in answer:
        error = answer["error"]
        folder = path.parent.relative_to(Path(settings.root)).as_posix()
        raise DefinitionError(error["what"], where=f"{folder}/{error['where']}", hint=error["hint"])
    return answer


def _environment(region: str) -> dict[str, str]:
    """Nothing of the user's AWS configuration leaks in, nobody is asked for credentials, no clock of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {
        **kept,
        "HOME": os.devnull,
        "PYTHONPATH": str(PACKAGE.parent),
        "PYTHONHASHSEED": "0",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        # One thread: numpy starts a pool at import that nothing here uses.
        "OPENBLAS_NUM_THREADS": "1",
        "AWS_ACCESS_KEY_ID": "render",
        "AWS_SECRET_ACCESS_KEY": "render",
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": os.devnull,
        "SAGEMAKER_USER_CONFIG_OVERRIDE": os.devnull,
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
    }


def _relative(settings: Settings, path: Path) -> str:
    return path.relative_to(Path(settings.root)).as_posix()
