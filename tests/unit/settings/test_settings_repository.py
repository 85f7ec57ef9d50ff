"""This repository's own settings, in every environment, and the JSON Schemas made from the model."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from pipeline.cli import build_parser
from pipeline.errors import ErrorGroup
from pipeline.names import Names
from pipeline.settings import environments, load, names
from pipeline.settings.schema import project_schema, schemas, settings_schema
from tests.conftest import copy_repository

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("environment", environments(ROOT))
@pytest.mark.parametrize("name", names(ROOT))
def test_every_pipeline_loads_in_every_environment(name: str, environment: str) -> None:
    settings = load(ROOT, name, environment)
    assert (settings.name, settings.environment_name) == (name, environment)
    assert (ROOT / "container" / settings.pipeline.container).is_dir()


def test_environments_are_apart() -> None:
    accounts = [load(ROOT, "iris", environment).environment.account for environment in environments(ROOT)]
    assert environments(ROOT) == ["dev", "staging", "production"]
    assert len(set(accounts)) == len(accounts)


def test_the_schemas_accept_our_files_and_refuse_what_the_loader_refuses() -> None:
    project = tomllib.loads((ROOT / "pipeline.toml").read_text())
    Draft202012Validator.check_schema(project_schema())
    Draft202012Validator(project_schema()).validate(project)
    project["environments"]["dev"]["training"] = {"spott": True}
    assert not Draft202012Validator(project_schema()).is_valid(project)
    for name in names(ROOT):
        settings = tomllib.loads((ROOT / "pipeline/definitions" / name / "settings.toml").read_text())
        Draft202012Validator.check_schema(settings_schema())
        Draft202012Validator(settings_schema()).validate(settings)
        settings.setdefault("environments", {})["dev"] = {"gate": [{"metric": ""}]}
        assert not Draft202012Validator(settings_schema()).is_valid(settings)


@pytest.mark.parametrize("file", sorted(schemas()))
def test_committed_schemas_are_up_to_date(file: str) -> None:
    assert (ROOT / "docs/reference/schemas" / file).read_text() == schemas()[file], "run: make docs"


def test_the_verb_prints_values_origins_and_schemas(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)

    def verb(*arguments: str) -> str:
        args = build_parser().parse_args(["settings", *arguments])
        assert args.run(args) == 0
        return capsys.readouterr().out

    report = json.loads(verb("iris", "-e", "production", "--json"))
    assert report["pipeline"]["hyperparameters"]["num_class"] == 3
    assert report["stack_name"] == "iris-production"
    assert report["origins"]["environment.account"].endswith("[environments.production]")
    assert [each["name"] for each in json.loads(verb("--json"))] == names(ROOT)
    assert json.loads(verb("--schema", "settings"))["title"] == "settings.toml"
    assert "pipeline.toml:" in verb("iris") and '"ml.m5.large"' in verb("iris")


def test_a_pipeline_may_have_an_underscore_where_aws_has_none(tmp_path: Path) -> None:
    copy_repository(tmp_path, only="iris")
    (tmp_path / "pipeline/definitions/iris").rename(tmp_path / "pipeline/definitions/iris_two")
    settings = load(tmp_path, "iris_two", "dev")
    assert settings.name == "iris_two"
    assert settings.stack_name == Names.of(settings).stack == "iris-two-dev"


def test_two_pipelines_that_aws_would_take_for_one_are_refused(tmp_path: Path) -> None:
    copy_repository(tmp_path, only="iris")
    home = tmp_path / "pipeline/definitions"
    shutil.copytree(home / "iris", home / "iris_two")
    shutil.copytree(home / "iris", home / "iris-two")
    with pytest.raises(ErrorGroup, match="one name to AWS"):
        load(tmp_path, "iris_two", "dev")
