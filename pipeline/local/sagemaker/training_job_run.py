"""One training job from data to artifacts, in AWS's phases: Downloading, Training, Uploading."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.local import roles
from pipeline.local.runner import Outcome, Program, instances, run_hosts
from pipeline.local.runner import current as current_runner
from pipeline.local.sagemaker import isolation
from pipeline.local.sagemaker import training_job_contract as contract
from pipeline.local.sagemaker import training_job_hosts as hosts
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
        self.hosts = hosts.of(self.folder, self.request["ResourceConfig"]["InstanceCount"])
        self.broken_pipe: Exception | None = None

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
            for host in self.hosts:
                host.lay_out(self.request)
            self._inputs()
            described = f"{status.MESSAGES['Training']} ({self.runner.describe(image)})"
            if isolation.lacking(self.request.get("EnableNetworkIsolation")):
                described += f" {isolation.NOT_ENFORCED}"
            if not self._enter("Training", described):
                self._finish_stopped("Stopped")
                return False
            self.spot.watch(lambda: any(h.checkpoints and h.checkpoints.stored for h in self.hosts))
            try:
                outcomes = self._train(image)
            finally:
                lost = self.spot.ended()
            self.job.still_wanted()
            if not lost:
                self._conclude(outcomes)
            elif self._enter("Interrupted"):
                return True
            else:
                self._finish_stopped("Stopped")
            return False
        finally:
            for host in self.hosts:
                host.close()
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

    def _inputs(self) -> None:
        default = self.request["AlgorithmSpecification"]["TrainingInputMode"]
        for channel in self.request.get("InputDataConfig") or []:
            if self.job.stop.asked:
                return
            self._channel(channel, channels.mode(channel, default))
        config = self.request.get("CheckpointConfig")
        if not config:
            return
        for host in self.hosts:
            local = contract.checkpoint_path(self.request)
            folder = host.base / Path(local).relative_to("/opt/ml")
            folder.mkdir(parents=True, exist_ok=True)
            # All hosts share one prefix, as on AWS: a program had better write on one of them.
            host.checkpoints = transfer.FolderSync(self.s3, folder, config["S3Uri"])
            host.checkpoints.restore()

    def _channel(self, channel: dict[str, Any], mode: str) -> None:
        source = channel["DataSource"]["S3DataSource"]
        scope = self.job.scope
        found = channels.resolve(self.s3, source, scope.region, self.request["RoleArn"])
        for host in self.hosts:
            self._give(host, channel, mode, channels.share(source, found, host.index, host.count))

    def _give(self, host: hosts.Host, channel: dict[str, Any], mode: str, parts: list[channels.Part]) -> None:
        """A channel as a host's program finds it."""
        name, source = channel["ChannelName"], channel["DataSource"]["S3DataSource"]
        if mode == "Pipe":
            host.feeders.append(
                PipeFeeder(
                    host.data, name, lambda epoch: self._stream(channel, parts, epoch), self._pipe_broke
                )
            )
            return
        place = host.data / name
        place.mkdir()
        if mode == "FastFile":
            # AWS streams what is read of it; a copy made beforehand reads the same.
            channels.only_whole_folders(source, parts)
            place = host.folder / "fast" / name
            host.read_only[f"/opt/ml/input/data/{name}"] = place
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

    def _train(self, image: Path) -> list[Outcome]:
        programs = [self._program(host, image) for host in self.hosts]
        streams = [self._log_stream(host) for host in self.hosts]
        for host in self.hosts:
            if host.checkpoints:
                host.checkpoints.start()
        limit = self.request["StoppingCondition"]["MaxRuntimeInSeconds"] - (time.time() - self.started)
        limit = min(limit, self.spot.deadline - time.time())
        try:
            return run_hosts(
                programs,
                [stream.write for stream in streams],
                stop=self.job.stop,
                max_seconds=max(0.0, limit),
                grace=worker.grace(),
                runner=self.runner,
            )
        finally:
            for stream in streams:
                stream.close()

    def _program(self, host: hosts.Host, image: Path) -> Program:
        request = self.request
        algorithm, kind = request["AlgorithmSpecification"], request["ResourceConfig"]["InstanceType"]
        resources = instances.available(kind, host.count)
        network = not request.get("EnableNetworkIsolation")
        entrypoint = algorithm.get("ContainerEntrypoint") or ()
        arguments = algorithm.get("ContainerArguments") or (() if entrypoint else ("train",))
        return Program(
            name=f"training job {self.job.name}" + (f" on {host.name}" if host.count > 1 else ""),
            image=image,
            command=(*entrypoint, *arguments),
            entrypoint=bool(entrypoint),
            base=host.base,
            scratch=host.folder / "scratch",
            environment={
                **instances.threads(resources),
                **self.session.variables(network),
                **contract.variables(
                    request, request["TrainingJobArn"], kind, resources, host.count, host.name
                ),
            },
            read_only=host.read_only,
            network=network,
            cores=resources.cpus,
            memory=instances.memory(kind),
            hosts=hosts.addresses(host.count),
        )

    def _log_stream(self, host: hosts.Host) -> LogStream:
        stream = LogStream(
            self.session.client("logs"),
            LOG_GROUP,
            f"{self.job.name}/{host.name}-{int(time.time())}",
            also=self.metrics.take,
            after=lambda: self._publish(),
        )
        if isolation.lacking(self.request.get("EnableNetworkIsolation")):
            stream.write(f"local target: {isolation.NOT_ENFORCED}")
        return stream

    def _publish(self) -> None:
        if self.metrics.pending():
            self.metrics.publish(self.session.client("cloudwatch"), self.job.name)

    # -- the end -----------------------------------------------------------------------------------

    def _conclude(self, outcomes: list[Outcome]) -> None:
        if self.broken_pipe is not None:
            error = self.broken_pipe
            raise error if isinstance(error, failure.JobFailed) else failure.download_failed(str(error))
        # The first that failed is the cause: the others were ended because of it.
        bad = min((one for one in outcomes if one.exit_code), key=lambda one: one.seconds, default=None)
        if any(one.because == "timeout" for one in outcomes):
            self.job.edit(status.stopping)
            self._finish_stopped("MaxWaitTimeExceeded" if self.spot.too_late else "MaxRuntimeExceeded")
        elif self.job.stop.asked:
            self._finish_stopped("Stopped")
        elif bad is None:
            self._upload()
            self.job.edit(self._complete)
        else:
            host = self.hosts[outcomes.index(bad)]
            said = failure.text_of(host.base / "output" / "failure")
            self._upload(whatever_happens=True)
            raise failure.ended_badly(bad, said)

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
            for host in self.hosts:
                if host.checkpoints:
                    host.checkpoints.finish()
            made = hosts.gathered(self.hosts, "model", log.warning)
            if config.get("CompressionType") == "NONE":
                model = f"{prefix}/model/"
                transfer.upload_folder(self.s3, made, model, key)
            else:
                transfer.upload_archive(self.s3, made, model, self.folder, key)
            output = hosts.gathered(self.hosts, "output/data", log.warning)
            transfer.upload_archive(self.s3, output, f"{prefix}/output.tar.gz", self.folder, key)
        except failure.JobFailed as error:
            if not whatever_happens:
                raise
            log.warning("%s: %s", self.job.name, error.reason)

        def note(record: Record) -> None:
            record["ModelArtifacts"] = {"S3ModelArtifacts": model}
            record["FinalMetricDataList"] = self.metrics.final()

        self.job.edit(note)
