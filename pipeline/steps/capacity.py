"""Try a job again when SageMaker had no instances for it, and only then."""

from __future__ import annotations

from typing import Any

from pipeline.steps.block import FailWithCaught
from pipeline.steps.intrinsics import fmt, plus_one
from pipeline.steps.sdk import Catch, Chain, Choice, ChoiceRule, Pass, State, Wait
from pipeline.steps.view import Settings

# One digit: the count is part of the job's name (pipeline.names.JOB_SUFFIX).
MAX_WAITS = 3
WAIT_SECONDS = 900
# How long a job may look for instances before SageMaker gives up, besides our own waiting.
LOOKING_SECONDS = 1800

# A job that ends badly is States.TaskFailed whatever the reason, with the job's description as the cause.
# What a program said is after `AlgorithmError: ` in it, with its quotes escaped, so it cannot look like this.
_NO_CAPACITY = ('*"FailureReason":"CapacityError:*', '*"FailureReason": "CapacityError:*')


def wait_seconds() -> int:
    """Seconds that all waiting for one job's capacity may take."""
    return MAX_WAITS * (WAIT_SECONDS + LOOKING_SECONDS)


def job_name(settings: Settings, state_id: str, kind: str = "") -> str:
    """A name that no other attempt had: SageMaker keeps the names of jobs that failed.

    Retries, waits for capacity and redrives all start the job anew; the last two begin at retry 0 again.

    Args:
        kind: one letter, for the second of a run's jobs of one kind.
    """
    places = settings.stack_name + f"-{{}}-{kind}{{}}-{{}}-{{}}"
    return fmt(
        places, "$.run.run_id", "$$.Execution.RedriveCount", f"{_path(state_id)}.waits", "$$.State.RetryCount"
    )


def patient(job: Any, otherwise: State | None = None) -> Pass:
    """Let `job` start again after a while for want of capacity; returns the state to enter.

    Args:
        otherwise: where to go when the job failed for another reason, which is at `$.error`; without it the
            run fails.
    """
    name, path = job.state_id, _path(job.state_id)
    begin = Pass(f"Begin{name}", parameters={"waits": 0}, result_path=path)
    again = Chain(
        [
            Pass(f"Count{name}Wait", parameters={"waits.$": plus_one(f"{path}.waits")}, result_path=path),
            Wait(f"WaitFor{name}Capacity", seconds=WAIT_SECONDS),
            job,
        ]
    )
    lacking = Choice(f"Lacks{name}Capacity", comment="Instances may be free later; a bad program stays bad.")
    said = [ChoiceRule.StringMatches(variable="$.error.Cause", value=text) for text in _NO_CAPACITY]
    left = ChoiceRule.NumericLessThan(variable=f"{path}.waits", value=MAX_WAITS)
    told = ChoiceRule.IsPresent(variable="$.error.Cause", value=True)
    lacking.add_choice(ChoiceRule.And([told, left, ChoiceRule.Or(said)]), again)
    lacking.default_choice(otherwise or FailWithCaught(f"{name}Failed", "$.error"))
    job.add_catch(Catch(error_equals=["States.TaskFailed"], next_step=lacking, result_path="$.error"))
    begin.next(job)
    return begin


def _path(state_id: str) -> str:
    return f"$.{state_id.lower()}_attempts"
