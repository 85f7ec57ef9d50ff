"""One tuning job: launches training jobs, watches what they report, stops the weak, and knows when to end."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from pipeline.local.sagemaker import training_job, tuning_job_checks, validation
from pipeline.local.sagemaker import tuning_job_told as told
from pipeline.local.sagemaker.errors import SageMakerError, ValidationException
from pipeline.local.sagemaker.jobs import failure
from pipeline.local.sagemaker.jobs.worker import LiveJob
from pipeline.local.sagemaker.store import Record, Scope
from pipeline.local.sagemaker.transitions import advance
from pipeline.local.sagemaker.tuning_job_request import training_request
from pipeline.local.sagemaker.tuning_search import Search
from pipeline.local.sagemaker.tuning_stopping import below_the_median, enough

log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.1
# SageMaker gives up a search of which nothing succeeds after so many jobs.
_ATTEMPTS = 5


@dataclass
class Trial:
    """A training job that runs.

    Args:
        number: in the search.
        values: of the objective, as its log tells them.
        seen: how many of them were considered.
        stopped: it was told to stop, by early stopping or Hyperband.
    """

    name: str
    number: int
    values: list[float] = field(default_factory=list)
    seen: int = 0
    stopped: bool = False


def at_once(asked: int) -> tuple[int, str]:
    """How many jobs run at the same time on this machine, and what to say where that is fewer than asked."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = max(1, min(asked, cores))
    if most == asked:
        return most, ""
    return most, (
        f"(local target: {most} of MaxParallelTrainingJobs {asked} run at once, for this machine has "
        f"{cores} processor{'s' if cores > 1 else ''})"
    )


class TuningRun:
    """The work of one tuning job's thread; arguments as of TrainingRun, and its scope."""

    def __init__(self, job: LiveJob, record: Record, scope: Scope) -> None:
        self.job = job
        self.scope = scope
        self.record = record
        config = record["HyperParameterTuningJobConfig"]
        limits = config["ResourceLimits"]
        self.objective = told.objective_of(record)["MetricName"]
        self.maximize = told.maximizes(record)
        self.most: int | None = limits.get("MaxNumberOfTrainingJobs")
        self.parallel, self.remark = at_once(limits["MaxParallelTrainingJobs"])
        self.deadline = time.monotonic() + limits.get("MaxRuntimeInSeconds", float("inf"))
        self.criteria = config.get("TuningJobCompletionCriteria") or {}
        self.early = config.get("TrainingJobEarlyStoppingType") == "Auto"
        self.resource = tuning_job_checks.resource_of(record)
        self.search = Search(
            config["Strategy"],
            tuning_job_checks.space_of(config),
            maximize=self.maximize,
            jobs=self.most or 0,
            seed=config.get("RandomSeed"),
            resource=self.resource,
        )
        self.changed = threading.Event()
        self.running: list[Trial] = []
        self.ended: list[told.Summary] = []
        self.curves: list[list[float]] = []
        self.launched = 0
        self.exhausted = False

    def run(self) -> None:
        """All of it; raises JobFailed, or leaves the record in its final status."""
        if self.remark:
            log.info("tuning job %s %s", self.job.name, self.remark)
        self._learn()
        try:
            while not self._over():
                self._launch()
                self.changed.wait(_LOOK_SECONDS)
                self.changed.clear()
                self.job.still_wanted()
                self._collect()
                self._judge()
                self._give_up()
        finally:
            self._stop_all()
        self._conclude()

    # -- one round -------------------------------------------------------------------------------------

    def _over(self) -> bool:
        """Whether nothing more is to be tried, or waited for."""
        if self.job.stop.asked or time.monotonic() > self.deadline:
            return True
        values = [value for each in self.ended if (value := told.value_of(each)) is not None]
        if enough(self.criteria, values, self.maximize):
            return True
        return not self.running and self._is_spent()

    def _is_spent(self) -> bool:
        return self.exhausted or (self.most is not None and self.launched >= self.most)

    def _launch(self) -> None:
        while len(self.running) < self.parallel and not self._is_spent() and not self.job.stop.asked:
            suggestion = self.search.ask()
            if suggestion is None:
                self.exhausted = True
                return
            self.launched += 1
            name = f"{self.job.name}-{self.launched:03d}-{secrets.token_hex(4)}"
            trial = Trial(name, suggestion.number)
            try:
                self._begin(trial, suggestion.values)
            except SageMakerError as error:
                raise failure.JobFailed(f"ClientError: {name} cannot be created: {error.message}") from None
            self.running.append(trial)

    def _begin(self, trial: Trial, values: dict[str, str]) -> None:
        given = training_request(self.record, trial.name, values)
        request = validation.check("CreateTrainingJob", given)
        training_job.require(request, self.scope)
        entry = {
            "TrainingJobName": trial.name,
            "TunedHyperParameters": values,
            "CreationTime": time.time(),
        }
        # Known before it runs: a tuning job that is killed must know its jobs.
        self._edit(lambda record: record["Jobs"].append(entry))
        training_job.begin(
            request,
            self.scope,
            tuning_job=self.record["HyperParameterTuningJobArn"],
            remark=self.remark,
            watch=lambda metric, value: self._watch(trial, metric, value),
        )

    def _watch(self, trial: Trial, metric: str, value: float) -> None:
        """In the thread of a training job's log."""
        if metric == self.objective:
            trial.values.append(value)
            self.changed.set()

    def _collect(self) -> None:
        """Take the ended ones out, and tell the search."""
        for trial in list(self.running):
            found = self._summary(trial.name)
            if not told.has_ended(found):
                continue
            self.running.remove(trial)
            self.ended.append(found)
            self.curves.append(list(trial.values))
            self._keep(trial.name, found)
            value = told.value_of(found)
            cut = self.resource is not None and trial.stopped and found["TrainingJobStatus"] == "Stopped"
            self.search.tell(trial.number, value, stopped=cut)

    def _judge(self) -> None:
        """Stop the jobs that are not worth going on with."""
        for trial in self.running:
            values = list(trial.values)
            for count in range(trial.seen + 1, len(values) + 1):
                if trial.stopped:
                    break
                if self._is_weak(trial, values[:count]):
                    trial.stopped = True
                    self._stop(trial.name)
            trial.seen = len(values)

    def _is_weak(self, trial: Trial, values: list[float]) -> bool:
        if self.resource is not None:
            if len(values) > self.resource.most:
                return True
            return self.search.report(trial.number, values[-1], len(values))
        return self.early and below_the_median(values, self.curves, self.maximize)

    def _give_up(self) -> None:
        """End a search that cannot succeed, as SageMaker does."""
        if len(self.ended) == _ATTEMPTS:
            self._require_success(f"after {_ATTEMPTS} attempts", f"after running {_ATTEMPTS} training jobs")

    def _require_success(self, attempts: str, running: str) -> None:
        if any(told.value_of(each) is not None for each in self.ended):
            return
        whole = [each for each in self.ended if each["TrainingJobStatus"] != "Failed"]
        if whole:
            raise failure.JobFailed(
                f"No objective metrics found {running}. Please ensure that the custom algorithm is emitting "
                "the objective metric as defined by the regular expression provided."
            )
        first = next(iter(self.ended), {})
        why = f" The first was {first['TrainingJobName']}: {first.get('FailureReason', '')}" if first else ""
        raise failure.JobFailed(
            f"No training job succeeded {attempts}. Please take a look at the training job failures to get "
            f"more details.{why}"
        )

    # -- the beginning and the end ------------------------------------------------------------------------

    def _learn(self) -> None:
        """What the parents of a warm start found, as far as it lies within the ranges."""
        warm = self.record.get("WarmStartConfig")
        if not warm:
            return
        known = 0
        for parent in told.parents(self.scope, warm):
            static = parent["TrainingJobDefinition"].get("StaticHyperParameters") or {}
            for each in told.summaries(self.scope, parent):
                value = told.value_of(each)
                if value is not None:
                    known += self.search.learn({**static, **each["TunedHyperParameters"]}, value)
        log.info("tuning job %s begins with %d jobs of its parents", self.job.name, known)

    def _stop_all(self) -> None:
        """Stop what still runs and wait for it, unless the server ends, which stops it by itself."""
        for trial in self.running:
            self._stop(trial.name)
        while self.running and not self.job.interrupted:
            time.sleep(_LOOK_SECONDS)
            self._collect()

    def _conclude(self) -> None:
        self.job.still_wanted()
        if not self.job.stop.asked:
            count = len(self.ended)
            self._require_success(f"after {count} attempts", f"after running {count} training jobs")

        def end(record: Record) -> None:
            stopped = record[told.STATUS] == "Stopping"
            advance(record, told.STATUS, "Stopped" if stopped else "Completed")
            record["HyperParameterTuningEndTime"] = record["LastModifiedTime"]

        self._edit(end)

    # -- records ---------------------------------------------------------------------------------------------

    def _edit(self, change: Any) -> None:
        self.record = self.job.edit(change)

    def _summary(self, name: str) -> told.Summary:
        job = next(each for each in self.record["Jobs"] if each["TrainingJobName"] == name)
        return told.summary(self.scope, self.record, job)

    def _keep(self, name: str, found: told.Summary) -> None:
        def change(record: Record) -> None:
            job = next(each for each in record["Jobs"] if each["TrainingJobName"] == name)
            job["Summary"] = found
            record["LastModifiedTime"] = time.time()

        self._edit(change)

    def _stop(self, name: str) -> None:
        try:
            training_job.stop({"TrainingJobName": name}, self.scope)
        except ValidationException as error:
            log.debug("%s: %s", name, error.message)  # it has ended meanwhile
