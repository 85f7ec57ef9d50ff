"""What a run's driver is started with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.local.glue.spark import Environment, SparkJob, command

ENVIRONMENT = Environment("5.1", "3.5.6", Path("/v/bin/python"), Path("/j/bin/java"), Path("/c/x.jar"))
JOB = SparkJob(
    run_id="jr_7",
    job_name="stack-features",
    script_uri="s3://b/code/s.py",
    extra_py_files=[],
    arguments={"--OUTPUT_PATH": "s3://b/out"},
    glue_version="5.1",
    cores=2,
    memory_mb=900,
    folder=Path("/runs/7"),
    environment={"AWS_ACCESS_KEY_ID": "A", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
)


def test_spark_is_held_to_the_run_and_to_this_machine() -> None:
    settings = command.settings(JOB, ENVIRONMENT)
    assert settings["spark.master"] == "local[2]"
    assert settings["spark.driver.memory"] == "900m"
    assert settings["spark.driver.bindAddress"] == settings["spark.driver.host"] == "127.0.0.1"
    assert settings["spark.ui.enabled"] == "false"
    assert settings["spark.sql.session.timeZone"] == "UTC"
    assert settings["spark.sql.warehouse.dir"] == "file:///runs/7/spark/warehouse"
    for scheme in ("s3", "s3a", "s3n"):
        assert settings[f"spark.hadoop.fs.{scheme}.impl"] == "pipeline.s3.S3FileSystem"


def test_java_compiles_less_for_a_heap_that_holds_samples_only() -> None:
    quick = "-XX:TieredStopAtLevel=1"
    assert quick in command.settings(JOB, ENVIRONMENT)["spark.driver.extraJavaOptions"].split()
    large = replace(JOB, memory_mb=command.SMALL_HEAP_MB + 1)
    assert quick not in command.settings(large, ENVIRONMENT)["spark.driver.extraJavaOptions"].split()


def test_glue_s_conf_parameter_adds_settings_but_does_not_undo_those() -> None:
    conf = "spark.sql.shuffle.partitions=8 --conf spark.ui.enabled=true --conf spark.x=a=b"
    settings = command.settings(replace(JOB, arguments={"--conf": conf}), ENVIRONMENT)
    assert settings["spark.sql.shuffle.partitions"] == "8"
    assert settings["spark.x"] == "a=b"
    assert settings["spark.ui.enabled"] == "false"


def test_the_driver_inherits_nothing_of_its_host() -> None:
    variables = command.variables(JOB, ENVIRONMENT, [Path("/runs/7/code/1/lib.zip")], {"KEPT": "1"})
    assert variables["PYTHONPATH"].split(":") == ["/runs/7/code/1/lib.zip", str(command.SHIM)]
    assert variables["AWS_ACCESS_KEY_ID"] == "A"
    assert variables["KEPT"] == "1"
    assert variables["JAVA_HOME"] == "/j"
    assert variables["HOME"] == "/runs/7/home"
    assert "PYTEST_CURRENT_TEST" not in variables
    assert "AWS_ACCESS_KEY_ID" not in repr(JOB)


def test_the_script_gets_glue_s_own_arguments_and_its_own() -> None:
    assert command.arguments(JOB) == [
        *("--JOB_ID", "j_stack-features", "--JOB_RUN_ID", "jr_7", "--JOB_NAME", "stack-features"),
        *("--OUTPUT_PATH", "s3://b/out"),
    ]
    given = command.arguments(replace(JOB, arguments={"--JOB_NAME": "other"}))
    assert given[given.index("--JOB_NAME") + 1] == "other"


def test_properties_keep_backslashes() -> None:
    assert command.properties({"b": "x\\y", "a": "1"}) == "a 1\nb x\\\\y\n"
