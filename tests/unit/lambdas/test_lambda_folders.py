"""Every handler folder can be deployed as it is: stdlib and boto3 only, and nothing of ours outside it."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.render import lambdas

REPOSITORY = Path(__file__).resolve().parents[3]
LAMBDAS = REPOSITORY / "pipeline" / "lambdas"
FOLDERS = sorted(path.parent for path in LAMBDAS.glob("*/handler.py"))
# boto3 and what it brings along in Lambda's runtime.
RUNTIME = {"boto3", "botocore", "dateutil"}


def test_all_functions_are_there() -> None:
    assert [folder.name for folder in FOLDERS] == [
        "check_data",
        "collect_superseded",
        "explain_build",
        "find_baseline",
        "find_champion",
        "find_reusable",
        "gate",
        "gate_data",
        "judge_drift",
        "notify",
        "query_training_metrics",
        "request_approval",
        "smoke_test",
        "start_build",
    ]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_function_imports_only_the_runtime_and_its_own_folder(folder: Path) -> None:
    own = {path.stem for path in folder.glob("*.py")}
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level <= 1, f"{path}: in Lambda there is nothing above the function's package"
                names = [node.module or ""] if node.level == 0 else []
            for name in names:
                top = name.partition(".")[0]
                assert top in sys.stdlib_module_names | RUNTIME | own, f"{path} imports {name}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_function_loads_the_way_lambda_loads_it(folder: Path, tmp_path: Path) -> None:
    """Unpacked from its zip, by the name that the template gives Lambda."""
    with zipfile.ZipFile(io.BytesIO(lambdas.package(REPOSITORY, folder.name).content)) as archive:
        archive.extractall(tmp_path)
    module, _, name = f"{lambdas.CODE_FOLDER}.handler.handler".rpartition(".")
    code = f"import importlib; assert callable(importlib.import_module({module!r}).{name})"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
