"""Every handler folder can be deployed as it is: stdlib and boto3 only, and nothing of ours outside it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LAMBDAS = Path(__file__).resolve().parents[3] / "pipeline" / "lambdas"
FOLDERS = sorted(path.parent for path in LAMBDAS.glob("*/handler.py"))
# boto3 and what it brings along in Lambda's runtime.
RUNTIME = {"boto3", "botocore", "dateutil"}


def test_all_functions_are_there() -> None:
    assert [folder.name for folder in FOLDERS] == [
        "check_data",
        "collect_superseded",
        "gate",
        "notify",
        "request_approval",
        "smoke_test",
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
                assert node.level == 0, f"{path}: in Lambda there is no package to be relative to"
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                assert top in sys.stdlib_module_names | RUNTIME | own, f"{path} imports {name}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_function_loads_the_way_lambda_loads_it(folder: Path) -> None:
    code = "import handler; assert callable(handler.handler)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
