"""Runs one engine on one size and measures it: seconds, processor seconds, most memory held at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from pipeline.local.glue.spark import SparkJob, command, prepare

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENGINES = ("spark", "pandas", "polars", "duckdb")
_LOOK_SECONDS = 0.05


def uv(script: str, *arguments: str) -> list[str]:
    """A script of this folder in an environment of its own, made of its PEP 723 header."""
    return [
        sys.executable,
        "-m",
        "uv",
        "run",
        "--quiet",
        "--no-project",
        "--script",
        str(HERE / script),
        *arguments,
    ]


def generate(folder: Path, rows: int) -> None:
    """Synthetic ratings, unless they are there."""
    whole = folder.with_name(f"{folder.name}.complete")
    if not whole.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(uv("ratings_duckdb.py", str(folder), str(rows)), check=True)
        whole.touch()


def run(
    engine: str, source: Path, *, cores: int, memory_mb: int, most_mb: int, whole: bool = False
) -> dict[str, float | str]:
    """`seconds`, `cpu_seconds`, `peak_mb`, `check` (what was made) of one run; or `failed`, the reason.

    Args:
        cores: processors it may use, and threads.
        memory_mb: heap of Spark, limit of DuckDB; the others have none.
        most_mb: more memory than this ends it.
        whole: Spark: the whole transform instead of the compared part.
    """
    with tempfile.TemporaryDirectory(dir=source.parent) as work:
        target = Path(work) / "out"
        starting, variables = _command(engine, source, target, cores, memory_mb, whole)
        if engine != "spark":  # the environment is made outside of what is measured
            _warm(engine)
        measured = _measured(starting, variables, Path(work), cores, most_mb)
        if "failed" not in measured and not whole:
            asked = subprocess.run(
                uv("check_duckdb.py", str(target)), capture_output=True, text=True, check=True
            )
            measured["check"] = asked.stdout.strip()
        return measured


def _warm(engine: str) -> None:
    """Make a script's environment: uv does so before it looks at the arguments that the script lacks."""
    subprocess.run(uv(f"engine_{engine}.py"), capture_output=True, check=False)


def _command(
    engine: str, source: Path, target: Path, cores: int, memory_mb: int, whole: bool
) -> tuple[list[str], dict[str, str]]:
    threads = {name: str(cores) for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "ARROW_NUM_THREADS")}
    if engine != "spark":
        limits = [str(cores), str(memory_mb)] if engine == "duckdb" else []
        return uv(f"engine_{engine}.py", str(source), str(target), *limits), {**os.environ, **threads}
    environment = prepare("5.1")
    job = SparkJob(
        run_id="bench",
        job_name="bench",
        script_uri="",
        extra_py_files=[],
        arguments={},
        glue_version="5.1",
        cores=cores,
        memory_mb=memory_mb,
        folder=target.parent,
        environment={},
    )
    for name in ("home", "tmp", "conf", "spark", "work"):
        (job.folder / name).mkdir()
    conf = job.folder / "conf"
    conf.joinpath("spark-defaults.conf").write_text(command.properties(command.settings(job, environment)))
    conf.joinpath("log4j2.properties").write_text(command.LOGGING)
    path = [HERE, ROOT / "glue_scripts" / "recommender", ROOT / "glue_scripts"]
    script = [str(environment.python), str(HERE / "engine_spark.py"), str(source), str(target)]
    return [*script, "whole" if whole else "part"], command.variables(job, environment, path, {})


def _measured(
    starting: list[str], variables: dict[str, str], work: Path, cores: int, most_mb: int
) -> dict[str, float | str]:
    def pin() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])

    log = work / "log"
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            starting, env=variables, cwd=work, stdout=output, stderr=output, preexec_fn=pin
        )
        peak, over = 0, False
        busy: dict[int, float] = {}
        while process.poll() is None:
            total = _look(process.pid, busy)
            peak = max(peak, total)
            if total > most_mb << 20 and not over:
                over = True
                _end(process.pid)
            time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - began
    if over:
        return {"failed": f"more than {most_mb / 1000:g} GB"}
    if process.returncode != 0:
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        memory = any("OutOfMemory" in line or "Out of Memory" in line for line in said)
        if memory:
            return {"failed": "out of memory"}
        print("\n".join(said), file=sys.stderr)
        return {"failed": f"ended with {process.returncode}"}
    used = round(sum(busy.values()), 2)
    return {"seconds": round(seconds, 2), "cpu_seconds": used, "peak_mb": round(peak / 2**20)}


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _look(pid: int, busy: dict[int, float]) -> int:
    """Bytes that all its processes hold now; notes each one's processor seconds in `busy`."""
    total = 0
    for process in _family(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
            times = process.cpu_times()
            busy[process.pid] = times.user + times.system
    return total


def _end(pid: int) -> None:
    for process in _family(pid):
        with contextlib.suppress(psutil.Error):
            process.kill()
