"""What is wrong in a user's definition comes back with its place, in words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DefinitionError
from pipeline.render.asl import PACKAGE, _environment
from pipeline.steps.child import to_asl

ONE_PASS = """
from stepfunctions.steps import Pass
def define(settings):
    return Pass("Only")
"""


def child(folder: Path, source: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of the rendering process for a definition."""
    path = folder / "definition.py"
    path.write_text(source)
    process = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-m", "pipeline.steps.child", str(path)],
        input=json.dumps({"name": "x"}),
        env=_environment("eu-west-1"),
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return process.returncode, json.loads(process.stdout)


@pytest.mark.parametrize(
    ("source", "what", "where"),
    [
        ("def define(settings)\n    pass\n", "SyntaxError", "definition.py:1"),
        ("x = 1\n", "has no function define", "definition.py"),
        (
            "def define(settings):\n    y = 1\n    return settings.nme\n",
            "no setting 'nme'",
            "definition.py:3",
        ),
        ("import json\n\nimport nonesuch\n", "nonesuch", "definition.py:3"),
        (
            "import urllib.request\ndef define(settings):\n"
            "    return urllib.request.urlopen('http://169.254.169.254/')\n",
            "may not use the network",
            "definition.py:3",
        ),
    ],
)
def test_an_error_names_its_line(tmp_path: Path, source: str, what: str, where: str) -> None:
    code, answer = child(tmp_path, source)
    assert code == 2
    assert what in answer["error"]["what"]
    assert answer["error"]["where"] == where
    assert str(tmp_path) not in json.dumps(answer), "an absolute path means nothing to others"


def test_a_definition_that_differs_each_time_is_refused(tmp_path: Path) -> None:
    source = (
        "import time\nfrom stepfunctions.steps import Pass\n"
        "def define(settings):\n    return Pass('Stamp', result=str(time.time_ns()))\n"
    )
    code, answer = child(tmp_path, source)
    assert code == 2
    assert "differently each time, in Stamp" in answer["error"]["what"]


def test_what_the_sdk_cannot_render_is_named() -> None:
    from stepfunctions.inputs import ExecutionInput
    from stepfunctions.steps import Pass

    place = ExecutionInput(schema={"a": str})["a"]
    for parameters in ({"list": [place]}, {"text": str(object())}):
        with pytest.raises(DefinitionError, match="is a Python object"):
            to_asl(Pass("P", parameters=parameters))


def test_one_name_in_two_branches_is_refused() -> None:
    from stepfunctions.steps import Parallel, Pass

    parallel = Parallel("Both")
    parallel.add_branch(Pass("Same"))
    parallel.add_branch(Pass("Same", comment="another"))
    with pytest.raises(DefinitionError, match="two states are named 'Same'"):
        to_asl(parallel)


def test_a_definition_may_return_what_the_sdk_has(tmp_path: Path) -> None:
    from stepfunctions.steps import Chain, Graph, Pass

    for made in (Pass("Only"), Chain([Pass("Only")]), Graph(Pass("Only"))):
        assert to_asl(made)["States"] == {"Only": {"Type": "Pass", "End": True}}
    with pytest.raises(DefinitionError, match="returned str, not a Pipeline"):
        to_asl("nothing")
    code, answer = child(tmp_path, ONE_PASS + "PERMISSIONS = [{'Effect': 'Allow'}]\n")
    assert code == 0, answer
    assert answer["permissions"] == [{"Effect": "Allow"}]
