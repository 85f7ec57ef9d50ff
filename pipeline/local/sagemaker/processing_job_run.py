"""One processing job: inputs down, the program, outputs up."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pipeline.local import roles
from pipeline.local.runner import Outcome, Program, instances, run_job
from pipeline.local.runner import current as current_runner
from pipeline.local.sagemaker import isolation
from pipeline.local.sagemaker import processing_job_contract as contract
from pipeline.local.sagemaker.jobs import channels, failure, session, transfer, worker
from pipeline.local.sagemaker.jobs.logs import LogStream
from pipeline.local.sagemaker.jobs.worker import LiveJob
from pipeline.local.sagemaker.store import Record
from pipeline.local.sagemaker.transitions import advance

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
STATUS = "ProcessingJobStatus"


class ProcessingRun:
    """The work of one job's thread; arguments as of TrainingRun."""

    def __init__(self, job: LiveJob, record: Record) -> None:
        self.job = job
        self.request = record
        try:
            self.session = session.JobSession(job.scope, record["RoleArn"])
        except roles.RoleNotAssumable as error:
            raise failure.JobFailed(f"ClientError: {error}") from None
        self.s3 = self.session.client("s3")
        self.runner = current_runner()
        self.folder = self.runner.workspace()
        self.base = self.folder / "ml"
        self.continuous: list[transfer.FolderSync] = []

    def run(self) -> None:
        """All of it; raises JobFailed, or leaves the record in its final status."""
        try:
            self.job.edit(lambda record: record.update(ProcessingStartTime=time.time()))
            image = session.pull(self.request["AppSpecification"]["ImageUri"])
            self._layout()
            self._inputs()
            self.job.still_wanted()
            if self.job.stop.asked:
                self._end("Stopped")
                return
            self._conclude(self._process(image))
        finally:
            transfer.remove(self.folder)

    def _layout(self) -> None:
        for name in ("config", "output", "processing"):
            (self.base / name).mkdir(parents=True)
        kind = self.request["ProcessingResources"]["ClusterConfig"]["InstanceType"]
        for name, content in (
            ("processingjobconfig", contract.job_config(self.request, self.request["ProcessingJobArn"])),
            ("resourceconfig", contract.resource_config(kind)),
        ):
            (self.base / "config" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        for _, target in self._outputs():
            self._place(target["LocalPath"]).mkdir(parents=True, exist_ok=True)

    def _place(self, path: str) -> Path:
        return self.base / Path(path).relative_to("/opt/ml")

    def _outputs(self) -> list[tuple[str, dict[str, Any]]]:
        config = self.request.get("ProcessingOutputConfig") or {}
        return [(each["OutputName"], each["S3Output"]) for each in config.get("Outputs") or []]

    def _inputs(self) -> None:
        for each in self.request.get("ProcessingInputs") or []:
            source = each["S3Input"]
            parts = channels.resolve(self.s3, source, self.job.scope.region, self.request["RoleArn"])
            channels.fetch(self.s3, parts, self._place(source["LocalPath"]), lambda: self.job.stop.asked)

    def _process(self, image: Path) -> Outcome:
        app = self.request["AppSpecification"]
        kind = self.request["ProcessingResources"]["ClusterConfig"]["InstanceType"]
        resources = instances.available(kind)
        network = not (self.request.get("NetworkConfig") or {}).get("EnableNetworkIsolation")
        entrypoint = app.get("ContainerEntrypoint") or ()
        program = Program(
            name=f"processing job {self.job.name}",
            image=image,
            command=(*entrypoint, *(app.get("ContainerArguments") or ())),
            entrypoint=bool(entrypoint),
            base=self.base,
            scratch=self.folder / "scratch",
            environment={
                **instances.threads(resources),
                **self.session.variables(network),
                **(self.request.get("Environment") or {}),
            },
            network=network,
            cores=resources.cpus,
            memory=instances.memory(kind),
        )
        stream = LogStream(
            self.session.client("logs"), LOG_GROUP, f"{self.job.name}/{contract.HOST}-{int(time.time())}"
        )
        if isolation.lacking(not network):
            stream.write(f"local target: {isolation.NOT_ENFORCED}")
        key = (self.request.get("ProcessingOutputConfig") or {}).get("KmsKeyId") or None
        for _, target in self._outputs():
            if target["S3UploadMode"] == "Continuous":
                sync = transfer.FolderSync(self.s3, self._place(target["LocalPath"]), target["S3Uri"], key)
                sync.start()
                self.continuous.append(sync)
        try:
            return run_job(
                program,
                stream.write,
                stop=self.job.stop,
                max_seconds=self.request["StoppingCondition"]["MaxRuntimeInSeconds"],
                grace=worker.grace(),
                runner=self.runner,
            )
        finally:
            stream.close()

    def _conclude(self, outcome: Outcome) -> None:
        self.job.still_wanted()
        message = self._exit_message()
        if message:
            self.job.edit(lambda record: record.update(ExitMessage=message))
        if outcome.because == "timeout" or self.job.stop.asked:
            self._finish_continuous(whatever_happens=True)
            self._end("Stopped")
            return
        if outcome.exit_code != 0:
            self._finish_continuous(whatever_happens=True)
            raise failure.ended_badly(outcome)
        self._finish_continuous()
        key = (self.request.get("ProcessingOutputConfig") or {}).get("KmsKeyId") or None
        for _, target in self._outputs():
            if target["S3UploadMode"] == "EndOfJob":
                transfer.upload_folder(self.s3, self._place(target["LocalPath"]), target["S3Uri"], key)
        self._end("Completed")

    def _finish_continuous(self, whatever_happens: bool = False) -> None:
        for sync in self.continuous:
            try:
                sync.finish()
            except failure.JobFailed:
                if not whatever_happens:
                    raise

    def _exit_message(self) -> str:
        """The first KB of /opt/ml/output/message; a job whose message is not UTF-8 fails, as on AWS."""
        try:
            with (self.base / "output" / "message").open("rb") as stream:
                content = stream.read(failure.LIMIT)
        except OSError:
            return ""
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.end >= len(content) and error.reason == "unexpected end of data":
                return content[: error.start].decode("utf-8")  # cut in the middle of a character
            raise failure.JobFailed(
                "ClientError: The content of /opt/ml/output/message is not UTF-8 encoded."
            ) from None

    def _end(self, ended: str) -> None:
        def change(record: Record) -> None:
            # A stop that was asked for while outputs were stored still stops it.
            stopped = record[STATUS] == "Stopping"
            advance(record, STATUS, "Stopped" if stopped else ended)
            record["ProcessingEndTime"] = record["LastModifiedTime"]

        self.job.still_wanted()
        self.job.edit(change)
