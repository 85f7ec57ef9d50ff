"""Our getResolvedOptions beside the official one (awsgluedataplanepython 5.1.0), over many argument vectors.

The official package is under the Amazon Software License, so it is no dependency of the product: it is
installed into an environment of its own, for this comparison only.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.glue.spark.command import SHIM
from tests.e2e import venvs

LOCK = Path(__file__).resolve().parents[2] / "fixtures" / "awsglue" / "requirements.lock"

# Runs in the official package's environment. It has no Spark, which the packages' __init__ ask for.
PROGRAM = """
import importlib, io, contextlib, json, pathlib, sys, types
package = types.ModuleType("awsglue")
place = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
if place is None:
    places = map(pathlib.Path, sys.path)
    place = next(each for each in places if (each / "awsglue" / "utils.py").exists())
package.__path__ = [str(place / "awsglue")]
sys.modules["awsglue"] = package
utils = importlib.import_module("awsglue.utils")
answers = []
for arguments, options in json.load(sys.stdin):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            answer = {"values": utils.getResolvedOptions(arguments, options)}
    except SystemExit as end:
        answer = {"exit": end.code}
    except Exception as error:
        answer = {"error": type(error).__name__, "text": str(error)}
    answers.append(answer)
json.dump(answers, sys.stdout)
"""

OPTIONS: list[list[str]] = [
    [],
    ["JOB_NAME"],
    ["JOB_NAME", "INPUT_PATH"],
    ["input-path", "x"],
    ["TempDir"],
    ["RedshiftTempDir", "a"],
    ["a", "ab", "abc"],
    ["JOB_RUN_ID"],
    ["--JOB_RUN_ID"],
    ["job-bookmark-option"],
    ["continuation-option"],
    ["job-bookmark-from"],
    ["--encryption-type"],
    ["encryption-type"],
    ["--enable-data-lineage"],
    ["a", "a"],
    ["help"],
]
ARGUMENTS: list[list[str]] = [
    [],
    ["--JOB_NAME", "n"],
    ["--JOB_NAME", "n", "--INPUT_PATH", "s3://b/k/"],
    ["--JOB_NAME=n", "--INPUT_PATH=s3://b/k=v/"],
    ["--JOB_NAME", "n", "--INPUT", "abbreviated"],
    ["--JOB_NAME"],
    ["--JOB_NAME", "--INPUT_PATH", "x"],
    ["--JOB_NAME", "-5", "--INPUT_PATH", "-x"],
    ["--input-path", "i", "--x", ""],
    ["--x", "1", "--x", "2", "--input-path", "a b"],
    ["--a", "1", "--ab", "2", "--abc", "3"],
    ["--ab", "2"],
    ["positional", "--a", "1", "more", "--", "--ab", "2"],
    ["--unknown", "u", "--a", "1"],
    ["--TempDir", "s3://t"],
    ["--RedshiftTempDir", "s3://r", "--a", "1"],
    ["--TempDir", "s3://t", "--RedshiftTempDir", "s3://r", "--a", "1"],
    ["--JOB_ID", "j_1", "--JOB_RUN_ID", "jr_1", "--JOB_NAME", "n", "--INPUT_PATH", "p"],
    ["--SECURITY_CONFIGURATION", "c", "--a", "1"],
    ["--job-bookmark-option", "job-bookmark-enable", "--JOB_NAME", "n"],
    ["--job-bookmark-option", "nonsense", "--JOB_NAME", "n"],
    ["--job-bookmark-option", "job-bookmark-pause", "--JOB_NAME", "n"],
    ["--job-bookmark-option", "job-bookmark-pause", "--job-bookmark-from", "1", "--JOB_NAME", "n"],
    ["--job-bookmark-option", "job-bookmark-pause", "--job-bookmark-from", "1", "--job-bookmark-to", "2"],
    ["--job-bookmark-from", "1", "--job-bookmark-to", "2", "--JOB_NAME", "n"],
    ["--continuation-option", "continuation-enabled", "--JOB_NAME", "n"],
    ["--continuation-option", "continuation-readonly"],
    ["--continuation-option", "continuation-ignore", "--job-bookmark-option", "job-bookmark-enable"],
    ["--encryption-type", "sse-s3", "--JOB_NAME", "n"],
    ["--encryption-type", "none"],
    ["--enable-data-lineage", "true", "--JOB_NAME", "n"],
    ["--help"],
    ["--JOB_NAME", "ünï ☃", "--INPUT_PATH", "日本"],
]


def answers(place: Path | None, vectors: list[tuple[list[str], list[str]]]) -> list[dict[str, Any]]:
    """What one implementation says of each vector; the official one when `place` is None."""
    python = venvs.bin_of(LOCK) / "python"
    done = subprocess.run(
        [str(python), "-c", PROGRAM, *([str(place)] if place else [])],
        input=json.dumps(vectors),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(300)
def test_every_argument_vector_is_resolved_or_refused_as_glue_does() -> None:
    vectors = [
        (["script.py", *arguments], options) for arguments, options in itertools.product(ARGUMENTS, OPTIONS)
    ]
    official, ours = answers(None, vectors), answers(SHIM, vectors)
    differing = [
        (vector, theirs, own)
        for vector, theirs, own in zip(vectors, official, ours, strict=True)
        if theirs != own
    ]
    assert not differing, differing[:5]
    # The comparison is of something: values, missing ones, reserved names and conflicts all occur.
    assert {answer.get("error") for answer in official} >= {
        None,
        "GlueArgumentError",
        "RuntimeError",
        "ArgumentError",
    }
    assert sum("values" in answer for answer in official) > 50
