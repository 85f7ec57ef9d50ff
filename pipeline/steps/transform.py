"""Make what training reads out of what there is, in a Glue job.

The script gets `--<CHANNEL>_PATH` for each channel that it reads, `--OUTPUT_PATH`, `--FINGERPRINT`,
`--QUALITY` and its own arguments. Under `--OUTPUT_PATH` it leaves `manifests/<dataset>.json` for each
dataset, and at last `transform.json`. A dataset is its manifest: what a run that died left is in none.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.names import Names, path_argument
from pipeline.steps import retry
from pipeline.steps.block import Block, Job
from pipeline.steps.intrinsics import fmt
from pipeline.steps.sdk import Pass, Task, integration_arn
from pipeline.steps.train import as_text, found
from pipeline.steps.view import Settings

RESULTS = "$.transforms"
# Starting the workers, and waiting for them, which the job's own limit does not count.
OVERHEAD_SECONDS = 900
SECONDS_A_MINUTE = 60


class Transform(Block):
    """Runs the transform `name` of the settings; `$.transforms.<name>` holds JobName, JobRunId and output.

    A channel with `made_by = "<name>"` is the dataset of its name.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        given = settings.pipeline.transforms
        if name not in given:
            known = ", ".join(given) or "none"
            raise ValueError(f"settings.toml has no transform {name!r}; it has: {known}")
        self.name = name
        self.result = f"{RESULTS}.{name}"
        self.output = f"{self.result}.output"
        glue_job = Names.of(settings).transform(name)
        self.job = Job(fingerprint=name, result=name, kind="transform", within="transforms", name=glue_job)
        step = Task(
            "".join(part.title() for part in name.split("_")),
            resource=integration_arn("glue:startJobRun.sync"),
            parameters={"JobName": glue_job, "Arguments": _arguments(settings, name, given[name])},
            comment=f"Glue runs {given[name].script}.",
            timeout_seconds=settings.environment.transform.timeout_minutes * SECONDS_A_MINUTE
            + OVERHEAD_SECONDS,
            retry=retry.for_glue(),
            result_path=self.result,
        ).select({"JobName.$": "$.JobName", "JobRunId.$": "$.Id"})
        # What .sync gives is documented as the run's description; whether that holds Arguments is not.
        kept = {f"{key}.$": f"{self.result}.{key}" for key in ("JobName", "JobRunId")}
        place = Pass(
            f"{step.state_id}Output",
            parameters={**kept, "output.$": _output(name)},
            result_path=self.result,
        )
        super().__init__(settings, [step, place])


def _output(name: str) -> str:
    """A place that no other run has: nothing half-written is ever read."""
    return fmt(f"{{}}/{name}", "$.run.output_prefix")


def _arguments(settings: Settings, name: str, transform: Settings) -> dict[str, str]:
    arguments = {
        "--scriptLocation": settings.code.scripts[name],
        "--extra-py-files": settings.code.library,
        # Of what the job says besides, this may change what is made.
        "--GLUE_VERSION": settings.environment.transform.glue_version,
        "--OUTPUT_PATH.$": _output(name),
        "--FINGERPRINT.$": f"$.run.fingerprints.{name}",
        "--QUALITY": json.dumps(rules_of(transform), sort_keys=True),
    }
    for read in transform.reads:
        arguments[f"--{path_argument(read)}.$"] = found(read, settings.pipeline.data.channels[read])[
            "S3Uri.$"
        ]
    for key, value in transform.arguments.items():
        arguments[f"--{key}"] = as_text(value)
    return dict(sorted(arguments.items()))


def rules_of(transform: Settings) -> dict[str, Any]:
    """What the script holds its frames against; drift is judged after it, by `QualityGate`."""
    return {
        frame: {key: _given(value) for key, value in rules.items() if key != "drift" and _is_set(value)}
        for frame, rules in transform.quality.items()
    }


def _given(rules: Any) -> Any:
    """Without what nobody set, so that a new rule of a later version is no change."""
    if isinstance(rules, dict):
        return {key: _given(value) for key, value in rules.items() if _is_set(value)}
    return [_given(item) for item in rules] if isinstance(rules, list) else rules


def _is_set(value: Any) -> bool:
    return value is not None and value != [] and value != {}
