"""Taking away what runs made outside the stack: executions, jobs, endpoint, alarms, models, logs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from pipeline.aws.errors import code
from pipeline.aws.pace import Pace
from pipeline.errors import ApplyError
from pipeline.execution import glue, invoke
from pipeline.execution.logs import ENDPOINT_GROUP, JOB_GROUPS
from pipeline.execution.removal import GONE, Removal, is_gone
from pipeline.names import Names

# Kind of job -> what the names of its API's fields begin with. A search goes first: it starts others.
JOBS = {
    "tuning job": "HyperParameterTuningJob",
    "training job": "TrainingJob",
    "processing job": "ProcessingJob",
    "transform job": "TransformJob",
}
# SageMaker keeps the records of transform jobs for ever.
KEPT = ("transform job",)
RUNNING = frozenset({"InProgress", "Stopping"})
SETTLING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
# Longest that AWS takes to make or delete an endpoint, with room.
ENDPOINT_SECONDS = 3600


class RunsRemoval(Removal):
    """Removes what the runs of one stack made."""

    def stop_executions(self) -> None:
        # The comparison first: it starts runs.
        names = Names.of(self.settings)
        running = [*self._running(names.monitor_arn), *self._running(names.state_machine_arn)]
        for execution in running:
            self.say(f"stopping run {execution.rsplit(':', 1)[-1]}")
            self.clients.stepfunctions.stop_execution(
                executionArn=execution, error="Down", cause="pipeline down"
            )
        for execution in running:
            pace = Pace()
            while (
                self.clients.stepfunctions.describe_execution(executionArn=execution)["status"] == "RUNNING"
            ):
                pace.wait()

    def _running(self, machine: str) -> list[str]:
        """ARNs of the executions of a state machine that run; none where it is not there."""
        paginator = self.clients.stepfunctions.get_paginator("list_executions")
        try:
            return [
                summary["executionArn"]
                for page in paginator.paginate(stateMachineArn=machine, statusFilter="RUNNING")
                for summary in page["executions"]
            ]
        except ClientError as error:
            if code(error) != "StateMachineDoesNotExist":
                raise
            return []

    def stop_transforms(self) -> list[str]:
        """Glue runs that a stopped run left running; ids of all runs, by which their logs are called."""
        return [run for job in glue.jobs(self.settings) for run in glue.stop(self.clients, job)]

    def stop_jobs(self) -> None:
        """SageMaker's jobs that a stopped run left running."""
        for kind in JOBS:
            for status in ("InProgress", "Stopping"):
                for name in self._jobs(kind, status):
                    if status == "InProgress":
                        self.say(f"stopping {kind} {name}")
                        self._stop(kind, name)
                    pace = Pace()
                    while self._job(kind, "describe", name)[f"{JOBS[kind]}Status"] in RUNNING:
                        pace.wait()

    def _job(self, kind: str, verb: str, name: str) -> Any:
        """`describe_training_job(TrainingJobName=name)` and its like."""
        call = getattr(self.clients.sagemaker, f"{verb}_{xform_name(JOBS[kind])}")
        return call(**{f"{JOBS[kind]}Name": name})

    def endpoint(self) -> None:
        found = invoke.describe(self.settings, self.clients)
        if found is None:
            return
        # AWS refuses to delete an endpoint that it is changing.
        found = self._settled(found)
        if found is not None:
            self.say(f"deleting endpoint {self.name}")
            if self.take(
                "endpoint", self.name, self.clients.sagemaker.delete_endpoint, EndpointName=self.name
            ):
                self._settled({"EndpointStatus": "Deleting"})

    def _settled(self, found: dict[str, Any] | None) -> dict[str, Any] | None:
        pace, began = Pace(), datetime.now(UTC)
        while found is not None and found["EndpointStatus"] in SETTLING:
            if (datetime.now(UTC) - began).total_seconds() > ENDPOINT_SECONDS:
                raise ApplyError(
                    f"it is {found['EndpointStatus']} for an hour",
                    where=f"endpoint {self.name}",
                    hint="try again later",
                )
            pace.wait()
            found = invoke.describe(self.settings, self.clients)
        return found

    def alarms(self) -> None:
        """Those of endpoint configs; an endpoint's scaling goes with the endpoint."""
        cloudwatch = self.clients.cloudwatch
        pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{self.name}-")
        names = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
        for name in names:
            if self.ours.fullmatch(name):
                self.take("alarm", name, cloudwatch.delete_alarms, AlarmNames=[name])

    def sagemaker_leftovers(self, keep_models: bool) -> None:
        """Endpoint configs, models, packages and the records of jobs."""
        sagemaker = self.clients.sagemaker
        for name in self._named("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"):
            self.take("endpoint config", name, sagemaker.delete_endpoint_config, EndpointConfigName=name)
        for name in self._named("list_models", "Models", "ModelName"):
            self.take("model", name, sagemaker.delete_model, ModelName=name)
        packages = list(self._packages())
        for arn in packages:
            if keep_models:
                self.done.left.append(f"model package {arn} (--keep-models)")
            else:
                self.take("model package", arn, sagemaker.delete_model_package, ModelPackageName=arn)
        for kind in [kind for kind in JOBS if kind not in KEPT]:
            for name in self._jobs(kind, None):
                self.take(f"{kind} record", name, partial(self._job, kind, "delete", name))

    def _named(self, operation: str, items: str, key: str) -> list[str]:
        pages = self.clients.sagemaker.get_paginator(operation).paginate(NameContains=f"{self.name}-")
        return [item[key] for page in pages for item in page[items] if self.ours.fullmatch(item[key])]

    def _jobs(self, kind: str, status: str | None) -> list[str]:
        paginator = self.clients.sagemaker.get_paginator(f"list_{xform_name(JOBS[kind])}s")
        wanted = {"StatusEquals": status} if status else {}
        names = [
            item[f"{JOBS[kind]}Name"]
            for begins in self._begins()
            for page in paginator.paginate(NameContains=f"{begins}-", **wanted)
            for item in page[f"{JOBS[kind]}Summaries"]
        ]
        return [name for name in names if self.ours.fullmatch(name)]

    def _begins(self) -> list[str]:
        """What jobs' names begin with: of a search it is shorter where the stack's name is long."""
        return sorted({self.name, Names.of(self.settings).tuning})

    def _packages(self) -> Iterator[str]:
        pages = self.clients.sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self.name
        )
        try:
            for page in pages:
                yield from (item["ModelPackageArn"] for item in page["ModelPackageSummaryList"])
        except ClientError as error:
            if not is_gone(error):
                raise

    def logs(self, functions: list[str], runs: list[str]) -> None:
        """Groups that the services made by themselves, and streams of our jobs in groups of all.

        Args:
            runs: ids of the Glue runs.
        """
        logs = self.clients.logs
        for group in (f"{ENDPOINT_GROUP}{self.name}", *(f"/aws/lambda/{name}" for name in functions)):
            found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
            if any(item["logGroupName"] == group for item in found):
                self.take("log group", group, logs.delete_log_group, logGroupName=group)
        for group in sorted({group for groups, _ in JOB_GROUPS.values() for group in groups}):
            own = [f"{begins}-" for begins in self._begins()]
            prefixes = runs if group.startswith("/aws-glue/") else own
            for stream in (found for prefix in prefixes for found in self._streams(group, prefix)):
                self.take(
                    "log stream",
                    f"{group} {stream}",
                    logs.delete_log_stream,
                    logGroupName=group,
                    logStreamName=stream,
                )

    def _streams(self, group: str, prefix: str) -> list[str]:
        try:
            pages = self.clients.logs.get_paginator("describe_log_streams").paginate(
                logGroupName=group, logStreamNamePrefix=prefix
            )
            names = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
        except ClientError as error:
            if code(error) in GONE:
                return []
            raise
        # The id of a Glue run is nobody else's.
        return [
            name
            for name in names
            if not prefix.startswith(self.name) or self.ours.fullmatch(name.split("/", 1)[0])
        ]

    def _stop(self, kind: str, name: str) -> None:
        """Ask a job to stop; one that has just ended needs no asking."""
        try:
            self._job(kind, "stop", name)
        except ClientError as error:
            if code(error) not in {"ValidationException", *GONE}:
                raise
