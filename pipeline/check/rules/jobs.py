"""Rules on what SageMaker is asked to run: images by digest, limits that fit, a container that is there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from pipeline import algorithms
from pipeline.check.cloudformation import references, section
from pipeline.check.rule import Hit, Path, rule
from pipeline.check.states import integration, tasks
from pipeline.check.subject import Subject
from pipeline.settings.loader import PROJECT_FILE

_IMAGE_KEYS = ("TrainingImage", "ImageUri", "Image")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


@rule(
    "ML601",
    "an image is named by digest: a tag may mean another image tomorrow",
    "https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html",
)
def image_by_digest(subject: Subject) -> Iterator[Hit]:
    for task in tasks(subject.asl):
        for path, value in _images(task.arguments):
            at = (*task.path, task.arguments_key, *path)
            yield from _judge_image(subject, value, at)


def _images(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict):
        for key, child in value.items():
            if key in _IMAGE_KEYS and isinstance(child, str):
                yield (*path, key), child
            else:
                yield from _images(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _images(child, (*path, index))


def _judge_image(subject: Subject, value: str, at: Path) -> Iterator[Hit]:
    token = re.fullmatch(r"\$\{([^}]+)\}", value)
    if token is None:
        # AWS offers its algorithms by tag alone, and keeps the versions of each apart by it.
        if algorithms.of_image(value):
            return
        if not _DIGEST.search(value) and not value.startswith("{%") and "${" not in value:
            yield Hit("asl", at, f"{value!r} is not named by digest", "use repository@sha256:…")
        return
    given = subject.substitutions.get(token[1])
    for _, _, name in references(given):
        parameter = section(subject.template, "Parameters").get(name)
        if isinstance(parameter, dict) and "@sha256:" not in str(parameter.get("AllowedPattern", "")):
            what = f"parameter {name} takes an image by tag"
            fix = "add AllowedPattern: .+@sha256:[0-9a-f]{64}"
            yield Hit("template", ("Parameters", name), what, fix)
    if isinstance(given, str):
        yield from _judge_image(subject, given, at)


@rule(
    "ML602",
    "a Task waits at least as long as its job may run, else the job goes on alone",
    "https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-sync",
)
def timeout_covers_job(subject: Subject) -> Iterator[Hit]:
    for task in tasks(subject.asl):
        call = integration(task.body)
        limit = task.body.get("TimeoutSeconds")
        if call is None or not call.pattern.startswith("sync") or not isinstance(limit, int):
            continue
        stopping = task.arguments.get("StoppingCondition", {}) if isinstance(task.arguments, dict) else {}
        for key in ("MaxRuntimeInSeconds", "MaxWaitTimeInSeconds"):
            allowed = stopping.get(key) if isinstance(stopping, dict) else None
            if isinstance(allowed, int) and allowed > limit:
                what = f"TimeoutSeconds {limit} is below the job's {key} {allowed}"
                yield Hit("asl", (*task.path, "TimeoutSeconds"), what, f"set it to {allowed} or more")


@rule(
    "ML603",
    "the container that the settings name is there, with the programs SageMaker starts",
    "https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-dockerfile.html",
)
def container_exists(subject: Subject) -> Iterator[Hit]:
    name = subject.settings.get("container")
    if not isinstance(name, str) or not subject.files:
        return
    folder = f"container/{name}"
    # A built-in algorithm trains in AWS's image.
    trains = () if subject.settings.get("algorithm") else ("train",)
    for program in ("Dockerfile", *trains, "serve"):
        if f"{folder}/{program}" not in subject.files:
            yield Hit(
                "settings", ("container",), f"{folder}/{program} does not exist", f"add {folder}/{program}"
            )


@rule(
    "ML609",
    "several training instances are asked for only where the program trains on several: all of them are paid",
    "https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html",
)
def many_instances(subject: Subject) -> Iterator[Hit]:
    for task in tasks(subject.asl):
        call = integration(task.body)
        if call is None or call.operation not in ("CreateTrainingJob", "CreateHyperParameterTuningJob"):
            continue
        for path, count in _training_counts(task.arguments):
            if count < 2:
                continue
            at = (*task.path, task.arguments_key, *path)
            if subject.settings.get("algorithm"):
                yield from _algorithm_alone(subject, count, at)
            elif not _trains_on_many(subject):
                name = f"container/{subject.settings.get('container')}"
                what = f"{count} instances are asked for, and {name} trains on one"
                fix = (
                    f"instance_count = 1 in {PROJECT_FILE}, [defaults.training] or "
                    f"[environments.{subject.environment}.training]; if `train` joins the hosts of "
                    f'resourceconfig.json to one training, say instances = "many" in {name}/container.toml'
                )
                yield Hit("asl", at, what, fix)


def _training_counts(value: Any, path: Path = ()) -> Iterator[tuple[Path, int]]:
    """Where a request says how many instances train, and how many."""
    if isinstance(value, dict):
        for key, child in value.items():
            count = child.get("InstanceCount") if isinstance(child, dict) else None
            if key == "ResourceConfig" and isinstance(count, int):
                yield (*path, key, "InstanceCount"), count
            else:
                yield from _training_counts(child, (*path, key))


def _trains_on_many(subject: Subject) -> bool:
    text = subject.files.get(f"container/{subject.settings.get('container')}/container.toml", "")
    try:
        return tomllib.loads(text).get("instances") == "many"
    except tomllib.TOMLDecodeError:
        return False  # the loader says so


def _algorithm_alone(subject: Subject, count: int, at: Path) -> Iterator[Hit]:
    """XGBoost's exact trees and linear models are made on one host."""
    given = subject.settings.get("hyperparameters") or {}
    for name, value, fix in (
        ("tree_method", "exact", 'take tree_method = "hist" or "approx", or one instance'),
        ("booster", "gblinear", "take one instance"),
    ):
        if given.get(name) == value:
            yield Hit("asl", at, f"{count} instances are asked for, and {name} = {value} trains on one", fix)
