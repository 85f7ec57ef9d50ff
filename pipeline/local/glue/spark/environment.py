"""What a Glue version's scripts run in: a venv with pyspark, Java, and our Java classes, compiled.

All of it is made once and kept in the user's cache by its content. The classes are compiled by Janino,
the compiler that Spark itself ships, so no JDK is needed and no binary is in Git (docs/decisions/0024).
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from pipeline import caches
from pipeline.local.glue.spark import java, versions
from pipeline.local.glue.spark.model import Environment, SparkUnavailable
from pipeline.local.runner import environment as venvs

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "java"
LOCKS = HERE / "locks"
_COMPILER = "org.codehaus.commons.compiler.samples.CompilerDemo"  # Janino's command line, in its own jar


def prepare(glue_version: str) -> Environment:
    """The environment of a Glue version, made if need be.

    Raises:
        SparkUnavailable: no such version is known here, or something must be installed first.
    """
    version = versions.known(glue_version)
    if sys.version_info[:2] != version.python:
        wanted = ".".join(map(str, version.python))
        raise SparkUnavailable(
            f"Glue {version.name} runs Python {wanted}, and this is {sys.version.split()[0]}: "
            f"make the project's environment with python{wanted}."
        )
    program = java.find(version.java)
    try:
        venv = venvs.ensure(LOCKS / version.name, caches.folder("environments"))
    except venvs.EnvironmentBroken as error:
        raise SparkUnavailable(f"pyspark {version.spark} could not be installed:\n{error}") from error
    return Environment(
        glue_version=version.name,
        spark=version.spark,
        python=venv / "bin" / "python",
        java=program,
        jar=_jar(version.spark, program, venv),
    )


def sources() -> list[Path]:
    """The Java files, in order."""
    return sorted(SOURCES.rglob("*.java"))


def jar_key(spark: str, files: list[Path]) -> str:
    """What the compiled classes depend on: the sources and the Spark they are compiled against."""
    digest = hashlib.sha256(spark.encode())
    for file in files:
        digest.update(file.relative_to(SOURCES).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:24]


def _jar(spark: str, program: Path, venv: Path) -> Path:
    folder = caches.folder("spark")
    jar = folder / f"{jar_key(spark, sources())}.jar"
    if jar.exists():
        return jar
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{jar.stem}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not jar.exists():
            _compile(program, venv, jar)
    return jar


def _compile(program: Path, venv: Path, jar: Path) -> None:
    jars = sorted(next(venv.glob("lib/python*/site-packages/pyspark/jars")).glob("*.jar"))
    compiler = [str(each) for each in jars if each.name.startswith(("janino-", "commons-compiler-"))]
    with tempfile.TemporaryDirectory(dir=jar.parent) as work:
        classes = Path(work) / "classes"
        classes.mkdir()
        done = subprocess.run(
            [
                str(program),
                "-cp",
                ":".join(compiler),
                _COMPILER,
                *("-d", str(classes), "-classpath", ":".join(map(str, jars))),
                *("-encoding", "UTF-8", "-g", "-rebuild"),
                *map(str, sources()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        made = sorted(classes.rglob("*.class"))
        # The compiler's exit code is 0 whatever happens; what it has to say is an error.
        if done.returncode != 0 or done.stdout.strip() or not made:
            raise SparkUnavailable(f"the S3 file system for Spark does not compile:\n{done.stdout.strip()}")
        whole = Path(work) / jar.name
        with zipfile.ZipFile(whole, "w") as archive:
            for file in made:
                archive.write(file, file.relative_to(classes).as_posix())
        whole.replace(jar)
