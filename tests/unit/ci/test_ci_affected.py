"""Whom a change concerns: each path once, and what it may not touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.ci import sources
from pipeline.ci.affected import Affected, _scripts, of_files

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENTS = ("dev", "staging", "production")
CONTAINERS = {"iris": frozenset({"iris", "serving"}), "mnist": frozenset({"mnist"})}
DEPLOYED = frozenset({"pipeline/steps/train.py", "pipeline/steps/__init__.py", "pipeline/names.py"})

PROJECT = """
[project]
name = "ml"
[defaults]
region = "eu-west-1"
[defaults.training]
spot = true
[environments.dev]
account = "1"
[environments.staging]
account = "2"
[environments.production]
account = "3"
[environments.production.training]
spot = false
"""
SETTINGS = """
container = "iris"
[hyperparameters]
depth = 3
[environments.production.hyperparameters]
depth = 4
"""


SCRIPTS = {"iris": frozenset(), "mnist": frozenset({"glue_scripts/mnist/scale.py", "glue_scripts/common/"})}


def affected(
    *files: str, before: dict[str, str] | None = None, now: dict[str, str] | None = None
) -> Affected:
    return of_files(
        files,
        containers=CONTAINERS,
        scripts=SCRIPTS,
        environments=ENVIRONMENTS,
        deployed=DEPLOYED,
        before=(before or {}).get,
        now=(now or {}).get,
    )


def concerned(found: Affected) -> dict[str, tuple[str, ...]]:
    return {each.name: each.environments for each in found.pipelines}


BOTH = {"iris": ENVIRONMENTS, "mnist": ENVIRONMENTS}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("pipeline/definitions/iris/definition.py", {"iris": ENVIRONMENTS}),
        ("pipeline/definitions/iris/sample/train/iris.csv", {"iris": ENVIRONMENTS}),
        ("container/iris/train", {"iris": ENVIRONMENTS}),
        ("container/mnist/Dockerfile", {"mnist": ENVIRONMENTS}),
        ("container/serving/serve.py", {"iris": ENVIRONMENTS}),
        ("container/nobodys/Dockerfile", {}),
        ("glue_scripts/mnist/scale.py", {"mnist": ENVIRONMENTS}),
        ("glue_scripts/mnist/unused.py", {}),
        # iris has no Glue job.
        ("glue_scripts/common/job.py", {"mnist": ENVIRONMENTS}),
        ("pipeline/steps/train.py", BOTH),
        ("pipeline/steps/prices.toml", BOTH),
        ("pipeline/names.py", BOTH),
        ("requirements.lock", BOTH),
        ("cloudformation/account.yaml", BOTH),
        # What decides how somebody works here, not what is deployed.
        ("pipeline/cli/plan.py", {}),
        ("pipeline/local/server.py", {}),
        ("docs/README.md", {}),
        ("README.md", {}),
        ("tests/unit/test_messages.py", {}),
        (".github/workflows/merge.yml", {}),
        ("pyproject.toml", {}),
        ("pipeline/definitions/__init__.py", {}),
        # A module of a concerned room that nobody imports.
        ("pipeline/steps/unused.py", {}),
    ],
)
def test_each_path(path: str, wanted: dict[str, tuple[str, ...]]) -> None:
    found = affected(path)
    assert concerned(found) == wanted
    assert found.ignored == (() if wanted else (path,))


def test_a_pipeline_that_was_removed_is_gone_not_concerned() -> None:
    found = affected("pipeline/definitions/old/settings.toml", "pipeline/definitions/old/definition.py")
    assert concerned(found) == {}
    assert found.gone == ("old",)


def test_an_environments_own_table_concerns_that_environment() -> None:
    path = "pipeline.toml"
    changed = PROJECT.replace("spot = false", "spot = true")
    found = affected(path, before={path: PROJECT}, now={path: changed})
    assert concerned(found) == {"iris": ("production",), "mnist": ("production",)}


def test_a_default_concerns_those_that_do_not_say_otherwise() -> None:
    path = "pipeline.toml"
    changed = PROJECT.replace("spot = true", "spot = false")
    found = affected(path, before={path: PROJECT}, now={path: changed})
    assert concerned(found)["iris"] == ("dev", "staging")


def test_the_project_table_concerns_all_and_a_comment_nobody() -> None:
    path = "pipeline.toml"
    found = affected(path, before={path: PROJECT}, now={path: PROJECT.replace('"ml"', '"other"')})
    assert concerned(found) == BOTH
    assert concerned(affected(path, before={path: PROJECT}, now={path: f"# said\n{PROJECT}"})) == {}


def test_a_new_environment_is_concerned_and_a_removed_one_cannot_be() -> None:
    path = "pipeline.toml"
    without = PROJECT.replace('[environments.dev]\naccount = "1"\n', "")
    assert concerned(affected(path, before={path: without}, now={path: PROJECT}))["iris"] == ("dev",)


def test_an_overlay_of_a_pipelines_settings_concerns_its_environment() -> None:
    path = "pipeline/definitions/iris/settings.toml"
    changed = SETTINGS.replace("depth = 4", "depth = 5")
    assert concerned(affected(path, before={path: SETTINGS}, now={path: changed})) == {
        "iris": ("production",)
    }
    changed = SETTINGS.replace("depth = 3", "depth = 2")
    assert concerned(affected(path, before={path: SETTINGS}, now={path: changed})) == {
        "iris": ("dev", "staging")
    }


def test_settings_that_are_new_or_broken_concern_every_environment() -> None:
    path = "pipeline/definitions/iris/settings.toml"
    assert concerned(affected(path, now={path: SETTINGS})) == {"iris": ENVIRONMENTS}
    assert concerned(affected(path, before={path: SETTINGS}, now={path: "= no"})) == {"iris": ENVIRONMENTS}


def test_every_reason_is_told_once() -> None:
    found = affected("container/iris/train", "container/iris/evaluate", "pipeline/definitions/iris/x.py")
    (iris,) = found.pipelines
    assert iris.why == ("its image: container/iris", "its own room: pipeline/definitions/iris/x.py")


def test_shared_code_is_found_by_imports_not_by_a_list() -> None:
    found = sources.deployed(ROOT)
    rooms = {path.split("/")[1] for path in found}
    assert {"render", "steps", "settings", "lambdas", "plan", "image"} <= rooms
    # Tools around it, which a deployment is not made by.
    assert not {"local", "cli", "check", "conformance", "ci"} & rooms
    assert "pipeline/names.py" in found


def test_a_module_that_begins_to_be_imported_is_shared_code(tmp_path: Path) -> None:
    for path, text in {
        "pipeline/__init__.py": "",
        "pipeline/plan/__init__.py": "def f():\n    from pipeline import late\n",
        "pipeline/late.py": "import pipeline.deep.er",
        "pipeline/deep/__init__.py": "",
        "pipeline/deep/er.py": "from . import beside",
        "pipeline/deep/beside.py": "",
        "pipeline/deep/unused.py": "",
        "pipeline/steps/a.py": "import os",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = sources.deployed(tmp_path)
    assert {"pipeline/late.py", "pipeline/deep/er.py", "pipeline/deep/beside.py"} <= found
    assert "pipeline/deep/unused.py" not in found


def test_scripts_are_those_that_the_settings_of_any_environment_name(tmp_path: Path) -> None:
    home = tmp_path / "pipeline/definitions/demo"
    home.mkdir(parents=True)
    settings = home / "settings.toml"
    settings.write_text(
        '[transforms.a]\nscript = "demo/a.py"\n[environments.dev.transforms.b]\nscript = "other/b.py"\n'
        "[environments.dev.transforms.a.arguments]\nX = 1\n"
    )
    own = {"glue_scripts/demo/a.py", "glue_scripts/other/b.py", "glue_scripts/common/"}
    assert _scripts(tmp_path, "demo") == own
    settings.write_text("[monitor]\n")
    assert _scripts(tmp_path, "demo") == {"glue_scripts/monitor/", "glue_scripts/common/"}
    settings.write_text('container = "demo"\n')
    assert _scripts(tmp_path, "demo") == frozenset()
