"""Sections of the template, from settings and a state machine that is given."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DefinitionError
from pipeline.names import Names
from pipeline.render import asl, lambdas, render, template
from pipeline.render.context import Context
from pipeline.settings.model import Settings

Make = Callable[..., Settings]


def build(settings: Settings, machine: dict[str, Any], folders: tuple[str, ...] = ()) -> dict[str, Any]:
    """The template with stand-ins for the functions' code."""
    packages = tuple(lambdas.LambdaPackage(folder, folder.encode()) for folder in folders)
    return template.build(Context(settings, Names.of(settings), machine, [], packages))


def test_tags_are_one_per_name_whatever_the_case(make_settings: Make, machine: dict[str, Any]) -> None:
    resources = build(make_settings(), machine)["Resources"]
    keys = [tag["Key"] for tag in resources["TrainingRole"]["Properties"]["Tags"]]
    assert keys == ["Project", "environment", "pipeline"], "IAM takes project and Project for one key"


def test_tokens_of_the_state_machine_are_all_substituted(
    make_settings: Make, machine: dict[str, Any]
) -> None:
    machine["States"]["Train"]["Parameters"]["Image"] = "${ImageUri}"
    properties = build(make_settings(), machine)["Resources"]["StateMachine"]["Properties"]
    assert properties["DefinitionSubstitutions"] == {
        "ImageUri": {"Ref": "ImageUri"},
        "TrainingRoleArn": {"Fn::GetAtt": ["TrainingRole", "Arn"]},
    }
    assert json.loads(properties["DefinitionString"])["States"].keys() == machine["States"].keys()
    assert properties["LoggingConfiguration"]["Level"] == "ALL"
    assert properties["TracingConfiguration"] == {"Enabled": True}


def test_only_invoked_functions_are_in_the_template(make_settings: Make, machine: dict[str, Any]) -> None:
    resources = build(make_settings(), machine, ("gate",))["Resources"]
    functions = [r for r in resources.values() if r["Type"] == "AWS::Lambda::Function"]
    assert [f["Properties"]["FunctionName"] for f in functions] == ["demo-dev-gate"]
    assert {"GateFunction", "GateRole", "GateLogGroup"} <= resources.keys()
    assert resources["StateMachine"]["DependsOn"] == ["GateFunction"]
    assert resources["GateLogGroup"]["Properties"]["RetentionInDays"] == 30


def test_the_webhook_is_named_never_written(make_settings: Make, machine: dict[str, Any]) -> None:
    on = {"notification": {"enabled": True, "slack_secret": "ml/hook", "channel": "#ml"}}
    resources = build(make_settings(on), machine, ("notify",))["Resources"]
    variables = resources["NotifyFunction"]["Properties"]["Environment"]["Variables"]
    assert variables == {"SLACK_SECRET_ARN": "ml/hook", "CHANNEL": "#ml", "ENABLED": "true"}
    secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ml/hook-??????"
    assert secret in json.dumps(resources["NotifyRole"])
    off = build(make_settings(), machine, ("notify",))["Resources"]
    assert "secretsmanager" not in json.dumps(off["NotifyRole"])


def test_schedule_passes_its_time_and_is_off_unless_on(make_settings: Make, machine: dict[str, Any]) -> None:
    properties = build(make_settings(), machine)["Resources"]["Schedule"]["Properties"]
    assert properties["State"] == "DISABLED"
    assert json.loads(properties["Target"]["Input"]) == {"DATE": "<aws.scheduler.scheduled-time>"}
    on = make_settings(pipeline={"schedule": {"enabled": True, "timezone": "Asia/Tokyo"}})
    properties = build(on, machine, ("check_data",))["Resources"]["Schedule"]["Properties"]
    assert (properties["State"], properties["ScheduleExpressionTimezone"]) == ("ENABLED", "Asia/Tokyo")


def test_alarms_reach_a_topic_that_cloudwatch_may_use(make_settings: Make, machine: dict[str, Any]) -> None:
    settings = make_settings({"notification": {"alarm_email": "a@example.org"}})
    resources = build(settings, machine)["Resources"]
    assert resources["AlarmTopic"]["Properties"]["KmsMasterKeyId"] == "alias/ml-alarms"
    assert resources["AlarmEmail"]["Properties"]["Endpoint"] == "a@example.org"
    alarms = [r["Properties"]["MetricName"] for r in resources.values() if "Alarm" in r["Type"]]
    assert sorted(alarms) == ["ExecutionsAborted", "ExecutionsFailed", "ExecutionsTimedOut"]


def test_spot_training_may_use_its_checkpoints(make_settings: Make, machine: dict[str, Any]) -> None:
    plain = json.dumps(build(make_settings(), machine)["Resources"]["TrainingRole"])
    assert "checkpoints" not in plain
    spot = make_settings({"training": {"spot": True, "max_wait_seconds": 7200}})
    assert "demo-dev/checkpoints/*" in json.dumps(build(spot, machine)["Resources"]["TrainingRole"])


def test_a_built_in_algorithm_is_pulled_from_awss_registry_and_from_nowhere_else(
    make_settings: Make, machine: dict[str, Any]
) -> None:
    uri = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.0-5"
    machine["States"]["Train"]["Parameters"]["AlgorithmSpecification"] = {"TrainingImage": uri}
    resources = build(make_settings(pipeline={"algorithm": {"name": "xgboost"}}), machine)["Resources"]

    def pulled(role: str) -> list[str]:
        statements = resources[role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        return [
            arn for each in statements if "ecr:BatchGetImage" in each["Action"] for arn in each["Resource"]
        ]

    assert pulled("TrainingRole") == ["arn:aws:ecr:eu-west-1:141502667606:repository/sagemaker-xgboost"]
    assert pulled("ModelRole") == ["arn:aws:ecr:eu-west-1:123456789012:repository/ml/demo"]


# --- packages of the Lambdas


def write_function(root: Path, folder: str = "gate") -> Path:
    base = root / "pipeline" / "lambdas" / folder
    (base / "sub").mkdir(parents=True)
    (base / "handler.py").write_text("def handler(event, context): ...\n")
    (base / "sub" / "b.py").write_text("b = 1\n")
    return base


def test_a_package_is_its_content_and_nothing_else(tmp_path: Path) -> None:
    base = write_function(tmp_path)
    first = lambdas.package(tmp_path, "gate")
    os.utime(base / "handler.py", (0, 0))
    (base / "handler.py").chmod(0o755)
    (base / "__pycache__").mkdir()
    (base / "__pycache__" / "handler.cpython-311.pyc").write_bytes(b"x")
    (base / ".DS_Store").write_bytes(b"x")
    second = lambdas.package(tmp_path, "gate")
    assert first.content == second.content
    assert second.key == f"code/{second.sha256}.zip"
    with zipfile.ZipFile(io.BytesIO(second.content)) as archive:
        assert archive.namelist() == ["function/handler.py", "function/sub/b.py"]
        modes = {info.external_attr >> 16 & 0o777 for info in archive.infolist()}
    assert modes == {0o644}, "Lambda's user must be able to read every file"
    (base / "handler.py").write_text("def handler(event, context): return 1\n")
    assert lambdas.package(tmp_path, "gate").key != first.key


def test_an_invoked_function_without_a_handler_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"no handler\.py"):
        lambdas.package(tmp_path, "gate")


# --- names and the way to the child


def test_a_name_too_long_for_jobs_is_refused_before_rendering(make_settings: Make) -> None:
    long = make_settings(name="a" * 30, environment_name="b" * 20)
    with pytest.raises(DefinitionError, match="longer than"):
        render(long)


def test_a_missing_definition_says_which_file(make_settings: Make) -> None:
    with pytest.raises(DefinitionError) as error:
        render(make_settings())
    assert error.value.where == "pipeline/definitions/demo/definition.py"


def test_partition_follows_the_region(make_settings: Make) -> None:
    arn = Names.of(make_settings({"region": "cn-north-1"})).function_arn("gate")
    assert arn == "arn:aws-cn:lambda:cn-north-1:123456789012:function:demo-dev-gate"


def test_the_child_gets_no_path_of_this_machine(make_settings: Make, tmp_path: Path) -> None:
    assert str(tmp_path) not in asl.settings_json(make_settings())


def test_code_that_no_lambda_could_import_is_told_before_it_is_deployed(tmp_path: Path) -> None:
    base = tmp_path / "pipeline" / "lambdas" / "gate"
    base.mkdir(parents=True)
    (base / "handler.py").write_text("def handler(event, context): ...\n")
    (base / "rules.py").write_text("x = 1\ndef broken(:\n")
    with pytest.raises(DefinitionError, match="SyntaxError") as caught:
        lambdas.package(tmp_path, "gate")
    assert caught.value.where == "pipeline/lambdas/gate/rules.py:2"
