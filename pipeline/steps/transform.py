"""Make what training reads out of what there is: in a Glue job, or by a program of the pipeline's container.

A Glue script gets `--<CHANNEL>_PATH` for each channel that it reads, `--OUTPUT_PATH`, `--FINGERPRINT`,
`--QUALITY` and its own arguments. Under `--OUTPUT_PATH` it leaves `manifests/<dataset>.json` for each
dataset, and at last `transform.json`. A dataset is its manifest: what a run that died left is in none.

A program finds its channels as folders `/opt/ml/processing/<channel>`, gets its own arguments, and leaves in
`/opt/ml/processing/output` a folder for each dataset, with `transform.json` beside them. SageMaker uploads
that when the program has ended well.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.names import Names, path_argument
from pipeline.steps import capacity, retry
from pipeline.steps.block import Block, Job
from pipeline.steps.intrinsics import fmt
from pipeline.steps.processing import running
from pipeline.steps.sdk import Pass, Task, integration_arn
from pipeline.steps.train import as_text, found
from pipeline.steps.view import Settings

RESULTS = "$.transforms"
# Starting the workers, and waiting for them, which the job's own limit does not count.
OVERHEAD_SECONDS = 900
SECONDS_A_MINUTE = 60
# One letter in a job's name for each program that makes datasets.
LETTERS = "pqrstuvwxyz"


class Transform(Block):
    """Runs the transform `name` of the settings; `$.transforms.<name>` holds the job's names and output.

    Those are JobName and JobRunId of a Glue run, ProcessingJobName and ProcessingJobArn of a program's job. A
    program for which SageMaker has no instances starts again later.

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
        self.program = given[name].program
        made = _by_program if self.program else _by_glue
        super().__init__(settings, made(self, settings, given[name]))


def _by_program(block: Transform, settings: Settings, transform: Settings) -> list[Any]:
    name = block.name
    block.job = Job(fingerprint=name, result=name, kind="program", within="transforms", output="output")
    block.wait_seconds = capacity.wait_seconds()
    arguments = [text for key, value in transform.arguments.items() for text in (f"--{key}", as_text(value))]
    step = running(
        settings,
        _state(name),
        transform.program,
        {read: found(read, settings.pipeline.data.channels[read], settings) for read in transform.reads},
        {"output": _output(name)},
        arguments=arguments,
        comment=f"The container's {transform.program}.",
        result_path=block.result,
    ).amend(
        {
            # Several transforms of a run are told apart by theirs: by its place among them, one letter.
            "ProcessingJobName.$": capacity.job_name(settings, _state(name), _letter(settings, name)),
            "Tags": block.job.tags(settings),
        }
    )
    step.select(
        {
            "ProcessingJobName.$": "$.ProcessingJobName",
            "ProcessingJobArn.$": "$.ProcessingJobArn",
            "output.$": "$.ProcessingOutputConfig.Outputs[0].S3Output.S3Uri",
        }
    )
    return [capacity.patient(step), step]


def _by_glue(block: Transform, settings: Settings, transform: Settings) -> list[Any]:
    name = block.name
    glue_job = Names.of(settings).transform(name)
    block.job = Job(fingerprint=name, result=name, kind="transform", within="transforms", name=glue_job)
    step = Task(
        _state(name),
        resource=integration_arn("glue:startJobRun.sync"),
        parameters={"JobName": glue_job, "Arguments": _arguments(settings, name, transform)},
        comment=f"Glue runs {transform.script}.",
        timeout_seconds=settings.environment.transform.timeout_minutes * SECONDS_A_MINUTE + OVERHEAD_SECONDS,
        retry=retry.for_glue(),
        result_path=block.result,
    ).select({"JobName.$": "$.JobName", "JobRunId.$": "$.Id"})
    # What .sync gives is documented as the run's description; whether that holds Arguments is not.
    kept = {f"{key}.$": f"{block.result}.{key}" for key in ("JobName", "JobRunId")}
    place = Pass(
        f"{step.state_id}Output",
        parameters={**kept, "output.$": _output(name)},
        result_path=block.result,
    )
    return [step, place]


def _state(name: str) -> str:
    return "".join(part.title() for part in name.split("_"))


def _letter(settings: Settings, name: str) -> str:
    """Of a program's jobs: `p`, and so on backwards from there; `c` is the champion's, `b` the bundle's."""
    programs = [each for each, given in sorted(settings.pipeline.transforms.items()) if given.program]
    return LETTERS[programs.index(name)]


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
        source = found(read, settings.pipeline.data.channels[read], settings)
        arguments[f"--{path_argument(read)}.$"] = source["S3Uri.$"]
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
