"""What a run's driver is started with: Spark's settings, variables and the launcher's orders. No I/O.

Spark reads its settings from `spark-defaults.conf` in a folder of the run, so that a script makes its
session as on Glue, with no setting of this machine in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pipeline.local.glue.spark.model import Environment, SparkJob

HERE = Path(__file__).resolve().parent
SHIM = HERE / "shim"
BOOTSTRAP = HERE / "driver" / "bootstrap.py"
FILE_SYSTEM = "pipeline.s3.S3FileSystem"
# Hadoop names one of hadoop-aws for s3a, which is not in pyspark.
COMMITTER = "org.apache.hadoop.mapreduce.lib.output.FileOutputCommitterFactory"
REPORT = "cause.json"  # in the run's conf folder
# Parameters that Glue takes for itself. The script sees them all the same, as on Glue.
CONF = "--conf"
# A heap so small is for samples, of which most time goes to Java's own compilers: without the second of them
# and with the simplest collector such a run takes half the processor time (18 s instead of 35, measured).
SMALL_HEAP_MB = 1024
_QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def settings(job: SparkJob, environment: Environment) -> dict[str, str]:
    """Spark's settings: those of `--conf`, then what this machine holds a run to."""
    scratch = job.folder / "spark"
    java = [
        "-Duser.timezone=UTC",
        f"-Djava.io.tmpdir={job.folder / 'tmp'}",
        f"-Dderby.system.home={scratch}",
        # A driver out of memory goes on half alive otherwise, and its script waits for ever.
        "-XX:+ExitOnOutOfMemoryError",
        *(_QUICK if job.memory_mb <= SMALL_HEAP_MB else ()),
    ]
    return {
        **asked(job.arguments.get(CONF, "")),
        "spark.app.name": job.job_name,
        "spark.master": f"local[{job.cores}]",
        "spark.driver.memory": f"{job.memory_mb}m",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraClassPath": str(environment.jar),
        "spark.driver.extraJavaOptions": " ".join(java),
        "spark.extraListeners": "pipeline.Progress",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": (scratch / "warehouse").as_uri(),
        "spark.sql.session.timeZone": "UTC",
        "spark.hadoop.fs.s3.impl": FILE_SYSTEM,
        "spark.hadoop.fs.s3a.impl": FILE_SYSTEM,
        "spark.hadoop.fs.s3n.impl": FILE_SYSTEM,
        "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a": COMMITTER,
        # A task's files move to their place when the whole job has succeeded, not when the task has.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "1",
    }


def asked(conf: str) -> dict[str, str]:
    """Settings of Glue's `--conf` parameter: `a=b --conf c=d`."""
    pairs = [part.strip() for part in conf.split("--conf") if part.strip()]
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def properties(values: Mapping[str, str]) -> str:
    """The text of `spark-defaults.conf` (Java properties: a backslash is an escape)."""
    lines = [
        f"{name} {value}".replace("\\", "\\\\").replace("\n", "\\n") for name, value in sorted(values.items())
    ]
    return "\n".join(lines) + "\n"


LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss}{UTC} %p %c{1}: %m%n%ex
# Of every start on every machine, and of no use to who reads a job's log.
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
"""


def variables(
    job: SparkJob, environment: Environment, path: list[Path], kept: Mapping[str, str]
) -> dict[str, str]:
    """The driver's variables. Like a container it inherits nothing of its host but what is `kept`.

    Args:
        path: what the script imports from besides its own folder (`--extra-py-files`).
    """
    return {
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": str(job.folder / "home"),
        "TMPDIR": str(job.folder / "tmp"),
        "PATH": os.pathsep.join([str(environment.python.parent), SYSTEM_PATH]),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(map(str, [*path, SHIM])),
        "JAVA_HOME": str(environment.java.parent.parent),
        "PYSPARK_PYTHON": str(environment.python),
        "PYSPARK_DRIVER_PYTHON": str(environment.python),
        "SPARK_CONF_DIR": str(job.folder / "conf"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(job.folder / "spark"),
        "AWS_EC2_METADATA_DISABLED": "true",
        **kept,
        **job.environment,
    }


def arguments(job: SparkJob) -> list[str]:
    """The script's arguments after its name, as Glue gives them: its own three first."""
    given = {
        "--JOB_ID": f"j_{job.job_name}",
        "--JOB_RUN_ID": job.run_id,
        "--JOB_NAME": job.job_name,
        **job.arguments,
    }
    return [word for name, value in given.items() for word in (name, value)]


def orders(job: SparkJob, environment: Environment, script: Path) -> dict[str, object]:
    """What runner/launch.py is told."""
    return {
        "isolation": "mapped",
        "command": [
            str(environment.python),
            str(BOOTSTRAP),
            str(job.folder / "conf" / REPORT),
            str(script),
            *arguments(job),
        ],
        "workdir": str(job.folder / "work"),
        "cores": job.cores,
        "parent": os.getpid(),
        "network": True,
    }
