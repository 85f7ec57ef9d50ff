"""Say in a parameter where a transform's newest dataset lies, for readers outside the pipeline."""

from __future__ import annotations

from pipeline.steps.block import call
from pipeline.steps.intrinsics import fmt
from pipeline.steps.sdk import Task
from pipeline.steps.transform import Transform
from pipeline.steps.view import Settings


def publish(settings: Settings, transform: Transform, dataset: str) -> Task:
    """A Task that puts the address of the dataset's manifest into the parameter `/<project>/<stack>/<name>`.

    It may stand in a branch of `Together`, behind the transform. A dataset is its manifest, and a run's
    output is never written again: what the parameter names is whole, and stays as it is. The stack owns
    the parameter.

    Raises:
        ValueError: a program of the container made it, which leaves a folder and no manifest.
    """
    if transform.program:
        raise ValueError(f"{dataset!r} of {transform.name!r} has no manifest: it is no Glue job's")
    return call(
        f"Publish{dataset.title().replace('_', '')}",
        "ssm",
        "putParameter",
        {
            "Name": f"/{settings.project.name}/{settings.stack_name}/{dataset}",
            "Value.$": fmt(f"{{}}/manifests/{dataset}.json", transform.output),
            "Type": "String",
            "Overwrite": True,
        },
        comment=f"Others find the newest {dataset} here.",
        result_path=None,
    )
