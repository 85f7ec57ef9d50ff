"""Glue jobs: their scripts and the library that all of them use, by content, and the template's resources.

Each run is told its script and the library by --scriptLocation and --extra-py-files, which go before what
the job says (https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-glue-arguments.html): a run
keeps the code that it was started with, whatever is deployed meanwhile.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import DefinitionError
from pipeline.render.context import Context, Resource, get
from pipeline.render.lambdas import compiles, sources, zipped
from pipeline.render.model import LambdaPackage

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

FOLDER = "glue_scripts"
# Beside the scripts, as a package of its name: `from common import job`.
LIBRARY = "common"
# What [monitor] runs; no transform may have this name.
MONITOR, MONITOR_SCRIPT = "monitor", "monitor/compare.py"
# Runs of one job at once: they share nothing but the code, since each writes to a place of its own.
CONCURRENT_RUNS = 10


def packages(settings: Settings) -> tuple[LambdaPackage, ...]:
    """The scripts of all Glue transforms and of [monitor] by name, then the library; () without any.

    Raises:
        DefinitionError: a script is not there, or is no Python.
    """
    scripts = {name: given.script for name, given in settings.pipeline.transforms.items() if given.script}
    if settings.pipeline.monitor:
        scripts[MONITOR] = MONITOR_SCRIPT
    if not scripts:
        return ()
    root = Path(settings.root)
    found = [_script(root, name, script) for name, script in sorted(scripts.items())]
    return (*found, _library(root))


def locations(settings: Settings) -> dict[str, Any]:
    """`{"scripts": {name: S3 URI}, "library": S3 URI}` for the definition; {} where no script is needed."""
    made = packages(settings)
    if not made:
        return {}
    *scripts, library = [(package.name, f"s3://{settings.artifact_bucket}/{package.key}") for package in made]
    return {"scripts": dict(scripts), "library": library[1]}


def _script(root: Path, name: str, script: str) -> LambdaPackage:
    file = root / FOLDER / script
    if not file.is_file():
        raise DefinitionError(
            f"the transform {name!r} has no script",
            where=f"{FOLDER}/{script}",
            hint="write it there, or mend `script` in settings.toml; docs/how-to/bring-your-own-pipeline.md",
        )
    compiles(file, root)
    return LambdaPackage(name, file.read_bytes(), ".py")


def _library(root: Path) -> LambdaPackage:
    base = root / FOLDER / LIBRARY
    files = sources(base) if base.is_dir() else []
    if not files:
        raise DefinitionError("the library of the Glue scripts is not there", where=f"{FOLDER}/{LIBRARY}")
    for file in files:
        compiles(file, root)
    return LambdaPackage(LIBRARY, zipped(base, files, LIBRARY))


def resources(context: Context) -> dict[str, Resource]:
    """One job a script. What a run needs to know besides its size, the state machine tells it."""
    return {
        logical_id(name): job(context, context.names.transform(name), name, transform.script, "TransformRole")
        for name, transform in sorted(context.settings.pipeline.transforms.items())
        if transform.script
    }


def job(context: Context, name: str, code: str, script: str, role: str) -> Resource:
    """A Spark job as large as the environment says.

    Args:
        code: name of its script in `locations`.
        script: its file under glue_scripts/.
        role: logical id of what it runs as.
    """
    size = context.settings.environment.transform
    places = locations(context.settings)
    return {
        "Type": "AWS::Glue::Job",
        "Properties": {
            "Name": name,
            "Description": f"{script}, as of the last deployment; runs are told theirs",
            "Role": get(role),
            "Command": {
                "Name": "glueetl",
                "PythonVersion": "3",
                "ScriptLocation": places["scripts"][code],
            },
            "DefaultArguments": {"--job-language": "python", "--extra-py-files": places["library"]},
            "GlueVersion": size.glue_version,
            "WorkerType": size.worker_type,
            "NumberOfWorkers": size.workers,
            "Timeout": size.timeout_minutes,
            # The state machine decides what is tried again.
            "MaxRetries": 0,
            "ExecutionProperty": {"MaxConcurrentRuns": CONCURRENT_RUNS},
            "Tags": context.tag_map,
        },
    }


def logical_id(name: str) -> str:
    """`item_vectors` -> `ItemVectorsTransform`."""
    return "".join(part.title() for part in name.split("_")) + "Transform"
