"""One training job from data to artifacts, in AWS's phases: Downloading, Training, Uploading."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.local import roles
from pipeline.local.runner import Outcome, Program, instances, run_job
from pipeline.local.runner import current as current_runner
from pipeline.local.sagemaker import isolation
from pipeline.local.sagemaker import training_job_contract as contract
from pipeline.local.sagemaker import training_job_status as status
from pipeline.local.sagemaker.jobs import channels, failure, session, transfer, worker
from pipeline.local.sagemaker.jobs.logs import LogStream
from pipeline.local.sagemaker.jobs.objects import Text
from pipeline.local.sagemaker.jobs.pipes import PipeFeeder, gunzipped
from pipeline.local.sagemaker.jobs.worker import LiveJob
from pipeline.local.sagemaker.store import Record
from pipeline.local.sagemaker.training_job_metrics import Metrics
from pipeline.local.sagemaker.training_job_spot import Spot

log = logging.getLogger(__name__)
LOG_GROUP = "/aws/sagemaker/TrainingJobs"


class TrainingRun:
    """The work of one job's thread.

    Args:
        job: its handle.
        record: its record as created; the request's members are in it.
        watch: told each value of its metrics as it is found.
    """

    def __init__(
        self, job: LiveJob, record: Record, watch: Callable[[str, float], None] | None = None
    ) -> None:
        self.job = job
        self.request = record
        try:
            self.session = session.JobSession(job.scope, record["RoleArn"])
        except roles.RoleNotAssumable as error:
            raise failure.JobFailed(f"ClientError: {error}") from None
        self.s3 = self.session.client("s3")
        self.runner = current_runner()
        self.spot = Spot(job, record)
        self._fresh()
        definitions = record["AlgorithmSpecification"].get("MetricDefinitions") or []
        self.metrics = Metrics(definitions, watch)

    def _fresh(self) -> None:
        """Nothing of the job is on this instance yet."""
        self.folder = self.runner.workspace()
        self.base = self.folder / "ml"
        self.read_only: dict[str, Path] = {}
        self.feeders: list[PipeFeeder] = []
        self.broken_pipe: Exception | None = None
        self.checkpoints: transfer.FolderSync | None = None

    def run(self) -> None:
        """All phases; raises JobFailed, or leaves the record in its final status."""
        if not self.spot.acquired():
            transfer.remove(self.folder)
            self._finish_waiting()
            return
        while self._on_one_instance():
            # The next begins with what the checkpoints in S3 have, and nothing else.
            if not self.spot.regained():
                self._finish_waiting()
                return
            self._enter("Starting")
            self._fresh()

    def _on_one_instance(self) -> bool:
        """All phases on the instances at hand; True when they were taken away."""
        try:
            if not self._enter("Downloading"):
                self._finish_stopped("Stopped")
                return False
            image = session.pull(self.request["AlgorithmSpecification"]["TrainingImage"])
            self._layout()
            self._inputs()
            described = f"{status.MESSAGES['Training']} ({self.runner.describe(image)})"
            if isolation.lacking(self.request.get("EnableNetworkIsolation")):
                described += f" {isolation.NOT_ENFORCED}"
            if not self._enter("Training", described):
                self._finish_stopped("Stopped")
                return False
            self.spot.watch()
            try:
                outcome = self._train(image)
            finally:
                lost = self.spot.ended()
            self.job.still_wanted()
            if not lost:
                self._conclude(outcome)
            elif self._enter("Interrupted"):
                return True
            else:
                self._finish_stopped("Stopped")
            return False
        finally:
            if self.checkpoints:
                self.checkpoints.abandon()
            for feeder in self.feeders:
                feeder.close()
            transfer.remove(self.folder)

    # -- phases ------------------------------------------------------------------------------------

    def _enter(self, secondary: str, message: str = "") -> bool:
        """Move on, unless the job is being stopped."""
        moved = False

        def change(record: Record) -> None:
            nonlocal moved
            moved = record[status.STATUS] == "InProgress"
            if moved:
                status.move(record, secondary, message)
                record.setdefault("TrainingStartTime", record["LastModifiedTime"])

        self.job.still_wanted()
        self.started = self.job.edit(change).get("TrainingStartTime", time.time())
        return moved

    def _layout(self) -> None:
        """The folders and configuration files a container finds."""
        for name in ("input/config", "input/data", "model", "output/data"):
            (self.base / name).mkdir(parents=True)
        request = self.request
        files: dict[str, Any] = {
            "hyperparameters": contract.hyperparameters(request),
            "inputdataconfig": contract.input_data_config(request),
            "resourceconfig": contract.resource_config(request["ResourceConfig"]["InstanceType"]),
        }
        if request.get("DebugHookConfig"):
            files["debughookconfig"] = request["DebugHookConfig"]
        for name, content in files.items():
            path = self.base / "input" / "config" / f"{name}.json"
            path.write_text(json.dumps(content), encoding="utf-8")

    def _inputs(self) -> None:
        default = self.request["AlgorithmSpecification"]["TrainingInputMode"]
        for channel in self.request.get("InputDataConfig") or []:
            if self.job.stop.asked:
                return
            self._channel(channel, channels.mode(channel, default))
        config = self.request.get("CheckpointConfig")
        if config:
            local = contract.checkpoint_path(self.request)
            folder = self.base / Path(local).relative_to("/opt/ml")
            folder.mkdir(parents=True, exist_ok=True)
            self.checkpoints = transfer.FolderSync(self.s3, folder, config["S3Uri"])
            self.checkpoints.restore()

    def _channel(self, channel: dict[str, Any], mode: str) -> None:
        name, source = channel["ChannelName"], channel["DataSource"]["S3DataSource"]
        scope = self.job.scope
        parts = channels.resolve(self.s3, source, scope.region, self.request["RoleArn"])
        folder = self.base / "input" / "data"
        if mode == "Pipe":
            self.feeders.append(
                PipeFeeder(folder, name, lambda epoch: self._stream(channel, parts, epoch), self._pipe_broke)
            )
            return
        place = folder / name
        place.mkdir()
        if mode == "FastFile":
            # AWS streams what is read of it; a copy made beforehand reads the same.
            channels.only_whole_folders(source, parts)
            place = self.folder / "fast" / name
            self.read_only[f"/opt/ml/input/data/{name}"] = place
        channels.fetch(self.s3, parts, place, lambda: self.job.stop.asked)

    def _stream(self, channel: dict[str, Any], parts: list[channels.Part], epoch: int) -> Iterator[bytes]:
        for part in channels.shuffled(channel, parts, epoch):
            if isinstance(part, Text):
                yield part.content
                continue
            pieces = transfer.chunks(self.s3, part)
            yield from gunzipped(pieces) if channel.get("CompressionType") == "Gzip" else pieces

    def _pipe_broke(self, error: Exception) -> None:
        self.broken_pipe = error
        self.job.stop.ask(grace=5.0)

    def _train(self, image: Path) -> Outcome:
        request = self.request
        algorithm, kind = request["AlgorithmSpecification"], request["ResourceConfig"]["InstanceType"]
        resources = instances.available(kind)
        network = not request.get("EnableNetworkIsolation")
        entrypoint = algorithm.get("ContainerEntrypoint") or ()
        arguments = algorithm.get("ContainerArguments") or (() if entrypoint else ("train",))
        program = Program(
            name=f"training job {self.job.name}",
            image=image,
            command=(*entrypoint, *arguments),
            entrypoint=bool(entrypoint),
            base=self.base,
            scratch=self.folder / "scratch",
            environment={
                **instances.threads(resources),
                **self.session.variables(network),
                **contract.variables(request, request["TrainingJobArn"], kind, resources),
            },
            read_only=self.read_only,
            network=network,
            cores=resources.cpus,
            memory=instances.memory(kind),
        )
        stream = LogStream(
            self.session.client("logs"),
            LOG_GROUP,
            f"{self.job.name}/{contract.HOST}-{int(time.time())}",
            also=self.metrics.take,
            after=lambda: self._publish(),
        )
        if isolation.lacking(not network):
            stream.write(f"local target: {isolation.NOT_ENFORCED}")
        if self.checkpoints:
            self.checkpoints.start()
        limit = request["StoppingCondition"]["MaxRuntimeInSeconds"] - (time.time() - self.started)
        limit = min(limit, self.spot.deadline - time.time())
        try:
            return run_job(
                program,
                stream.write,
                stop=self.job.stop,
                max_seconds=max(0.0, limit),
                grace=worker.grace(),
                runner=self.runner,
            )
        finally:
            stream.close()

    def _publish(self) -> None:
        if self.metrics.pending():
            self.metrics.publish(self.session.client("cloudwatch"), self.job.name)

    # -- the end -----------------------------------------------------------------------------------

    def _conclude(self, outcome: Outcome) -> None:
        if self.broken_pipe is not None:
            error = self.broken_pipe
            raise error if isinstance(error, failure.JobFailed) else failure.download_failed(str(error))
        if outcome.because == "timeout":
            self.job.edit(status.stopping)
            self._finish_stopped("MaxWaitTimeExceeded" if self.spot.too_late else "MaxRuntimeExceeded")
        elif self.job.stop.asked:
            self._finish_stopped("Stopped")
        elif outcome.exit_code == 0:
            self._upload()
            self.job.edit(self._complete)
        else:
            said = failure.text_of(self.base / "output" / "failure")
            self._upload(whatever_happens=True)
            raise failure.ended_badly(outcome, said)

    def _complete(self, record: Record) -> None:
        # A stop that was asked for while the artifacts were stored still stops it, as on AWS.
        stopped = record[status.STATUS] == "Stopping"
        status.end(record, "Stopped" if stopped else "Completed", "Stopped" if stopped else "Completed")

    def _finish_waiting(self) -> None:
        """There were no instances, so there is nothing to store."""
        secondary = "Stopped" if self.job.stop.asked else "MaxWaitTimeExceeded"
        self.job.edit(status.stopping)
        self.job.edit(lambda record: status.end(record, "Stopped", secondary))

    def _finish_stopped(self, secondary: str) -> None:
        self._upload(whatever_happens=True)
        self.job.still_wanted()
        self.job.edit(lambda record: status.end(record, "Stopped", secondary))

    def _upload(self, whatever_happens: bool = False) -> None:
        """Store model, output and checkpoints, and note where and with which metrics.

        Args:
            whatever_happens: a job that ended otherwise keeps its own reason when storing fails.
        """
        self.job.edit(lambda record: status.move(record, "Uploading"))
        config = self.request["OutputDataConfig"]
        prefix = f"{config['S3OutputPath'].rstrip('/')}/{self.job.name}/output"
        key = config.get("KmsKeyId") or None
        model = f"{prefix}/model.tar.gz"
        try:
            if self.checkpoints:
                self.checkpoints.finish()
            if config.get("CompressionType") == "NONE":
                model = f"{prefix}/model/"
                transfer.upload_folder(self.s3, self.base / "model", model, key)
            else:
                transfer.upload_archive(self.s3, self.base / "model", model, self.folder, key)
            transfer.upload_archive(
                self.s3, self.base / "output" / "data", f"{prefix}/output.tar.gz", self.folder, key
            )
        except failure.JobFailed as error:
            if not whatever_happens:
                raise
            log.warning("%s: %s", self.job.name, error.reason)

        def note(record: Record) -> None:
            record["ModelArtifacts"] = {"S3ModelArtifacts": model}
            record["FinalMetricDataList"] = self.metrics.final()

        self.job.edit(note)
