"""Rules on what SageMaker is asked to run: images by digest, limits that fit, a container that is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline import algorithms
from pipeline.check.cloudformation import references, section
from pipeline.check.rule import Hit, Path, rule
from pipeline.check.states import integration, tasks
from pipeline.check.subject import Subject

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
