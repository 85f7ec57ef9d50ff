"""The Lambdas a pipeline may use: how long each may take and how much memory it has.

The state machine's task timeouts and the template's functions must agree, so both read it here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Function:
    """One folder of `pipeline/lambdas/`."""

    folder: str
    description: str
    timeout_seconds: int
    memory_mb: int = 256

    @property
    def logical_id(self) -> str:
        """`check_data` -> `CheckData`: what its resources in the template are called by."""
        return "".join(part.title() for part in self.folder.split("_"))

    @property
    def task_timeout_seconds(self) -> int:
        """For the Task that invokes it: the function's own limit and a margin for a cold start."""
        return self.timeout_seconds + 30


FUNCTIONS = {
    function.folder: function
    for function in (
        Function("check_data", "Finds new data by date and fixes which objects a run reads", 300, 512),
        Function("find_reusable", "Finds models and jobs that were made of the same already", 180),
        Function("find_champion", "Finds the model that serves, and its evaluation", 60),
        # Memory is processor time in Lambda; resampling wants most of one.
        Function("gate", "Compares metrics with their bounds and with the champion's", 60, 1024),
        Function("gate_data", "Decides whether the data of the transforms may be trained on", 60, 512),
        Function("find_baseline", "Finds what requests are to be compared with", 60),
        Function("judge_drift", "Says what follows from a comparison of requests", 60),
        Function("explain_build", "Says what a failed build of the image said last", 60),
        Function("start_build", "Starts a build of the image, and says how it is", 60),
        Function("notify", "Tells Slack; never fails a run", 30),
        Function("query_training_metrics", "Reads a training job's final metrics by name", 60),
        Function("request_approval", "Keeps the task token until a human decides", 60),
        Function("smoke_test", "Asks a fresh deployment for one prediction", 90),
        Function("collect_superseded", "Deletes endpoint configs and models no longer needed", 120),
    )
}
