"""Rules on transforms: what a script may import, how it treats its rows, and that settings and script agree.

Scripts that are no Python are refused while rendering, and names that fit nowhere while settings are read;
here is what needs the script's text, or the state machine, beside the settings.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from typing import Any

from pipeline.check.rule import Hit, Path, rule
from pipeline.check.states import Machine, State, integration, machines, reachable, strings, tasks
from pipeline.check.subject import Subject

_LIBRARIES = "https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-python-libraries.html"
_PARAMETERS = "https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-glue-arguments.html"
_SPARK = "https://spark.apache.org/docs/3.5.6/api/python/user_guide/sql/arrow_pandas.html"
_START = "https://docs.aws.amazon.com/step-functions/latest/dg/connect-glue.html"
_PROGRAM = "https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html"
FOLDER = "glue_scripts"
# Where the containers' Dockerfiles lay their programs.
PROGRAMS = "/opt/program"
# Glue 5.x is Python 3.11. Of what it brings, what the local target's environment has as well.
PROVIDED = {*sys.stdlib_module_names, "awsglue", "boto3", "botocore", "common", "numpy", "py4j", "pyspark"}
# Rows to the driver's memory, or through Python one by one.
_COLLECTS = {"collect", "toLocalIterator", "toPandas"}
_BY_ROW = {"foreach", "foreachPartition", "pandas_udf", "rdd", "udf", "udtf"}
_BY_ROW |= {"applyInPandas", "mapInArrow", "mapInPandas"}


def _transforms(subject: Subject) -> dict[str, dict[str, Any]]:
    found = subject.settings.get("transforms")
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}


def _channels(subject: Subject) -> dict[str, dict[str, Any]]:
    found = (subject.settings.get("data") or {}).get("channels") or {}
    return {name: channel for name, channel in found.items() if isinstance(channel, dict)}


def _scripts(subject: Subject) -> Iterator[tuple[str, ast.Module]]:
    """Each script once, by its file."""
    for file in sorted({f"{FOLDER}/{t.get('script')}" for t in _transforms(subject).values()}):
        if tree := _parsed(subject, file):
            yield file, tree


def _parsed(subject: Subject, file: str) -> ast.Module | None:
    if file not in subject.files:
        return None
    try:
        return ast.parse(subject.files[file])
    except SyntaxError:
        return None  # rendering says so


@rule("ML801", "a Glue script imports only what Glue 5.x has, or the library common", _LIBRARIES)
def provided(subject: Subject) -> Iterator[Hit]:
    for file, tree in _scripts(subject):
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""] if not node.level else ["."]
            else:
                continue
            for name in names:
                if name.partition(".")[0] not in PROVIDED:
                    yield Hit(
                        "file",
                        (file, node.lineno),
                        f"imports {name}, which a Glue run does not have",
                        f"put what scripts share into {FOLDER}/common; write the rest with pyspark",
                    )


@rule("ML802", "a Glue script leaves its rows to Spark", _SPARK, "warning")
def by_spark(subject: Subject) -> Iterator[Hit]:
    for file, tree in _scripts(subject):
        for node in ast.walk(tree):
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
            if isinstance(node, ast.alias):
                name = node.name
            if name in _COLLECTS and isinstance(node, ast.Attribute):
                what = f"{name}() brings all rows into the driver's memory"
                fix = "aggregate in Spark, or write the rows as a dataset"
            elif name in _BY_ROW and isinstance(node, ast.Attribute | ast.Name | ast.alias):
                what = f"{name} runs Python for every row"
                fix = "use a function of pyspark.sql.functions: it runs in the JVM"
            else:
                continue
            yield Hit("file", (file, getattr(node, "lineno", 1)), what, fix)


@rule("ML803", "what is read of a transform is made before, by a state that runs it", _START)
def made_before(subject: Subject) -> Iterator[Hit]:
    """Its place in the run's data is `$.transforms.<name>`, wherever a state reads it."""
    known = _transforms(subject)
    if not known:
        return
    whole = next(machines(subject.asl), None)
    at = {name: task for task in tasks(subject.asl) if (name := _runs(subject, task)) in known}
    for task in tasks(subject.asl):
        for _, text in strings(task.arguments):
            for name in re.findall(r"\$\.transforms\.(\w+)", text):
                if whole is None or name not in known or _follows(whole, at.get(name), task):
                    continue
                yield Hit(
                    "asl",
                    task.path,
                    f"reads what the transform {name!r} makes, and no state before it runs that",
                    f'put Transform(settings, "{name}") before it, as definition.py\'s list has it',
                )
    used = {str(channel.get("made_by")) for channel in _channels(subject).values()}
    for name in known:
        if name not in at and name not in used:
            yield Hit(
                "settings",
                ("transforms", name),
                "no state runs it, and no channel is made by it",
                f'write Transform(settings, "{name}") in definition.py, or drop the table',
                severity="warning",
            )


def _runs(subject: Subject, task: State) -> str:
    """The transform that a state runs: a Glue job by its name, a program by where its result goes."""
    given = task.arguments if isinstance(task.arguments, dict) else {}
    if "JobName" in given:
        return str(given["JobName"]).removeprefix(f"{subject.stack}-")
    path = str(task.body.get("ResultPath"))
    return path.removeprefix("$.transforms.") if "AppSpecification" in given else ""


def _follows(whole: Machine, maker: State | None, reader: State) -> bool:
    """Whether the reader may come after the maker; within a branch, after it in the same branch."""
    if maker is None:
        return False
    if maker.machine.path == reader.machine.path:
        return maker.name != reader.name and reader.name in reachable(maker.machine, maker.name, catch=False)
    first, then = (str(state.path[1]) for state in (maker, reader))  # ("States", <outermost>, ...)
    return first != then and then in reachable(whole, first, catch=False)


@rule("ML804", "settings and script name the same arguments, channels and datasets", _PARAMETERS)
def agree(subject: Subject) -> Iterator[Hit]:
    """As far as the script has them as literals: `start([...])`, `read_csv("x", ...)`, `write("x", ...)`."""
    for name, transform in _transforms(subject).items():
        file = f"{FOLDER}/{transform.get('script')}"
        tree = _parsed(subject, file)
        if tree is None:
            continue
        called = list(_method_calls(tree))
        for method, line, first in called:
            if method == "start" and isinstance(first, ast.List | ast.Tuple):
                yield from _asked(name, transform, (file, line), _texts(first.elts))
            elif method in ("read_csv", "read_parquet"):
                yield from _read(name, transform, (file, line), _texts([first]))
        datasets = [first for method, _, first in called if method == "write"]
        written = _texts(datasets)
        # A name that is computed may be any.
        if written and len(written) == len(datasets):
            yield from _made(subject, name, file, written)


def _method_calls(tree: ast.Module) -> Iterator[tuple[str, int, ast.expr]]:
    """Name, line and first argument of each call of a method."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        # A file's write has one argument, a dataset's two.
        if node.func.attr != "write" or len(node.args) > 1:
            yield node.func.attr, node.lineno, node.args[0]


def _texts(nodes: list[ast.expr]) -> list[str]:
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def _asked(name: str, transform: dict[str, Any], at: Path, asked: list[str]) -> Iterator[Hit]:
    for argument in asked:
        if argument not in (transform.get("arguments") or {}):
            what = f"asks for --{argument}, which [transforms.{name}.arguments] does not have"
            yield Hit("file", at, what, f"add {argument} = … there")


def _read(name: str, transform: dict[str, Any], at: Path, channels: list[str]) -> Iterator[Hit]:
    reads = transform.get("reads") or []
    for channel in channels:
        if channel not in reads:
            what = f"reads channel {channel!r}, which is not among the reads of [transforms.{name}]"
            yield Hit("file", at, what, f"write reads = [{', '.join(map(repr, [*reads, channel]))}]")


def _made(subject: Subject, name: str, file: str, written: list[str]) -> Iterator[Hit]:
    for channel, settings in _channels(subject).items():
        if settings.get("made_by") == name and channel not in written:
            yield Hit(
                "settings",
                ("data", "channels", channel, "made_by"),
                f"{file} writes no dataset {channel!r}, only {', '.join(sorted(written))}",
                "name the channel after the dataset, or write it",
            )


@rule("ML805", 'each channel with use = "transform" is read by a transform', _PARAMETERS, "warning")
def read_by_some(subject: Subject) -> Iterator[Hit]:
    read = {name for t in _transforms(subject).values() for name in t.get("reads") or []}
    for name, channel in _channels(subject).items():
        if channel.get("use") == "transform" and name not in read:
            yield Hit(
                "settings",
                ("data", "channels", name),
                'use = "transform", and no transform reads it',
                f'add "{name}" to the reads of a transform, or drop the channel',
            )


@rule("ML807", "data that is over a limit of its rules ends the run before anything is trained on it", _START)
def judged(subject: Subject) -> Iterator[Hit]:
    """A transform whose data is rejected ends well, without a dataset: QualityGate says why, and stops."""
    asked = {
        name: task
        for task in tasks(subject.asl)
        if isinstance(task.arguments, dict)
        and (arguments := task.arguments.get("Arguments"))
        and isinstance(arguments, dict)
        and str(arguments.get("--QUALITY", "{}")) != "{}"
        and (name := str(arguments.get("--FINGERPRINT.$", "")).rpartition(".")[2])
    }
    gates = [
        payload.get("outputs") or {}
        for task in tasks(subject.asl)
        if isinstance(task.arguments, dict)
        and isinstance(payload := task.arguments.get("Payload"), dict)
        and str(task.arguments.get("FunctionName", "")).endswith("-gate-data")
    ]
    heeded = {name.removesuffix(".$") for outputs in gates for name in outputs}
    for name, task in asked.items():
        if name not in heeded:
            what = f"the rules of the transform {name!r} are measured, and no gate heeds them"
            fix = f'put QualityGate(settings, ...) with the Transform "{name}" behind it'
            yield Hit("asl", task.path, what, fix)


@rule("ML806", "a Glue job's task is .sync, so that the run waits for it and can stop it", _START)
def waits(subject: Subject) -> Iterator[Hit]:
    for task in tasks(subject.asl):
        called = integration(task.body)
        if called is None or (called.service, called.operation) != ("glue", "StartJobRun"):
            continue
        if called.sdk or not called.pattern.startswith("sync"):
            what = "starts a Glue run and goes on before it ends"
            yield Hit("asl", (*task.path, "Resource"), what, "use arn:aws:states:::glue:startJobRun.sync")


@rule("ML808", "a program that a processing job runs is in the container", _PROGRAM)
def carried(subject: Subject) -> Iterator[Hit]:
    """`/opt/program/<program>` of the pipeline's image is `container/<container>/<program>`."""
    folder = f"container/{subject.settings.get('container')}"
    if not any(name.startswith(f"{folder}/") for name in subject.files):
        return
    for task in tasks(subject.asl):
        given = task.arguments.get("AppSpecification") if isinstance(task.arguments, dict) else None
        entry = given.get("ContainerEntrypoint") if isinstance(given, dict) else None
        for path in entry if isinstance(entry, list) else []:
            program = str(path).removeprefix(f"{PROGRAMS}/")
            if str(path).startswith(f"{PROGRAMS}/") and f"{folder}/{program}" not in subject.files:
                yield Hit(
                    "asl",
                    task.path,
                    f"runs {path}, and there is no {folder}/{program}",
                    "write the program, executable, and COPY it in the Dockerfile",
                )
