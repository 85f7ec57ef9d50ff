"""One transform job: objects down, requests to the model, and outputs up when all of it is done.

Nothing is stored before the end, and of an object nothing unless all of its records were answered: a job
that is stopped, or a server that is killed, leaves no output, a failed job those of its good objects.
"""

from __future__ import annotations

import gzip
import logging
import time
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.local import roles
from pipeline.local.runner import current as current_runner
from pipeline.local.sagemaker import transform_job_checks as checks
from pipeline.local.sagemaker.jobs import channels, failure, objects, session, transfer
from pipeline.local.sagemaker.jobs.logs import LogStream
from pipeline.local.sagemaker.jobs.objects import S3Object
from pipeline.local.sagemaker.jobs.worker import LiveJob
from pipeline.local.sagemaker.store import Record, Scope
from pipeline.local.sagemaker.transform_records import BadRecord, Batch, Plan, format_of
from pipeline.local.sagemaker.transform_server import Answer, Refused, Server
from pipeline.local.sagemaker.transitions import advance

log = logging.getLogger(__name__)
LOG_GROUP = "/aws/sagemaker/TransformJobs"
STATUS = "TransformJobStatus"
_PAYLOAD_MB, _AT_ONCE = 6, 1  # without the request's own, or the model's
_LOOK_SECONDS = 0.1
_STRATEGIES = {"MULTI_RECORD": "MultiRecord", "SINGLE_RECORD": "SingleRecord"}


class Stopped(Exception):
    """The job is being stopped."""


@dataclass
class Item:
    """One object of the input: where its output grows, and why it has none."""

    source: S3Object
    output: Path
    failed: str = ""


Waiting = deque[tuple[Item, Batch, "Future[Answer]"]]


class TransformRun:
    """The work of one job's thread; arguments as of TrainingRun, and the model's record."""

    def __init__(self, job: LiveJob, record: Record, hosted: Record, scope: Scope) -> None:
        self.job, self.request, self.hosted, self.scope = job, record, hosted, scope
        try:
            self.session = session.JobSession(scope, hosted["ExecutionRoleArn"])
        except roles.RoleNotAssumable as error:
            raise failure.JobFailed(f"ClientError: {error}") from None
        self.s3 = self.session.client("s3")
        self.folder = current_runner().workspace()
        stream = f"{job.name}/transform-1-{int(time.time())}"
        logs = self.session.client("logs")
        self.lines = LogStream(logs, LOG_GROUP, stream)
        self.data_log = LogStream(logs, LOG_GROUP, f"{stream}/data-log")
        self.server = Server(scope, record, hosted, self.folder, self.lines.write, self.session)
        self.whose: str = ""

    def run(self) -> None:
        """All of it; raises JobFailed, or leaves the record in its final status."""
        try:
            self.job.edit(lambda record: record.update(TransformStartTime=time.time()))
            items = self._items()
            self.server.prepare()
            self.server.start(lambda: self.job.stop.asked)
            self._require_going()
            self._transform(items)
            self.server.end()
            self._store(items)
            self._conclude(items)
        except Stopped:
            self.job.still_wanted()
            self.job.edit(self._ended("Stopped"))
        finally:
            self.server.end()
            self.lines.close()
            self.data_log.close()
            transfer.remove(self.folder)

    # -- input -----------------------------------------------------------------------------------------

    def _items(self) -> list[Item]:
        source = self.request["TransformInput"]["DataSource"]["S3DataSource"]
        found = channels.resolve(self.s3, source, self.scope.region, self.session.role_arn)
        outputs = self.folder / "outputs"
        outputs.mkdir(parents=True)
        return [
            Item(part, outputs / f"{number:08d}")
            for number, part in enumerate(found)
            if isinstance(part, S3Object)
        ]

    def _plan(self) -> Plan:
        """By the request, else by the model's /execution-parameters, else by AWS's defaults."""
        told = self.server.parameters()
        request = self.request
        payload = request.get("MaxPayloadInMB")
        if payload is None:
            payload = told.get("MaxPayloadInMB", _PAYLOAD_MB)
        strategy = request.get("BatchStrategy") or _STRATEGIES.get(
            str(told.get("BatchStrategy")), "MultiRecord"
        )
        self.at_once = max(
            1, int(request.get("MaxConcurrentTransforms") or told.get("MaxConcurrentTransforms") or _AT_ONCE)
        )
        self.chunked = int(payload) == 0
        self._note(
            f"MaxConcurrentTransforms={self.at_once}, MaxPayloadInMB={payload}, BatchStrategy={strategy}"
        )
        processing = request.get("DataProcessing") or {}
        given, output = request["TransformInput"], request["TransformOutput"]
        return Plan(
            lines=given.get("SplitType") == "Line",
            single=strategy == "SingleRecord",
            limit=int(payload) * 2**20,
            newline=output.get("AssembleWith") == "Line",
            kind=format_of(given.get("ContentType") or ""),
            before=checks.path(processing.get("InputFilter")),
            after=checks.path(processing.get("OutputFilter")),
            join=processing.get("JoinSource") == "Input",
        )

    def _batches(self, plan: Plan, item: Item) -> Iterator[Batch]:
        """An object's requests; what is wrong with it is noted, and ends them."""
        local = self.folder / "object"
        try:
            with local.open("wb") as file:
                for piece in transfer.chunks(self.s3, item.source):
                    file.write(piece)
            with self._opened(local) as stream:
                for batch in plan.batches(stream):
                    if item.failed:
                        return
                    yield batch
        except failure.JobFailed as error:
            self._fail(item, error.reason, client=True)
        except BadRecord as error:
            self._fail(item, str(error), client=True)
        except (OSError, EOFError, zlib.error) as error:
            self._fail(item, f"it cannot be read as Gzip: {error}", client=True)

    def _opened(self, local: Path) -> IO[bytes]:
        if self.request["TransformInput"].get("CompressionType") == "Gzip":
            return cast(IO[bytes], gzip.GzipFile(local))
        return local.open("rb")

    # -- requests ----------------------------------------------------------------------------------------

    def _transform(self, items: list[Item]) -> None:
        """Send every object's requests, several at a time, and append the answers in order."""
        plan = self._plan()
        waiting: Waiting = deque()
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="transform") as pool:
            try:
                for item in items:
                    item.output.touch()
                    for batch in self._batches(plan, item):
                        self._require_going()
                        waiting.append(
                            (item, batch, pool.submit(self.server.invoke, batch.payload, self.chunked))
                        )
                        if len(waiting) >= 2 * self.at_once:
                            self._take(plan, waiting)
                while waiting:
                    self._take(plan, waiting)
            except BaseException:
                self.server.end()  # which frees the threads that wait for answers
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _take(self, plan: Plan, waiting: Waiting) -> None:
        item, batch, future = waiting.popleft()
        while not future.done():
            wait([future], timeout=_LOOK_SECONDS)
            self._require_going()
        if item.failed:
            return
        try:
            answer = future.result()
            made = plan.output(batch, answer.body, answer.content_type)
        except Refused as error:
            self._fail(item, str(error), client=error.client)
            return
        except BadRecord as error:
            self._fail(item, str(error), client=True)
            return
        with item.output.open("ab") as file:
            file.write(made)

    def _require_going(self) -> None:
        if self.job.stop.asked:
            raise Stopped

    def _fail(self, item: Item, why: str, *, client: bool) -> None:
        if item.failed:
            return
        item.failed = why
        item.output.unlink(missing_ok=True)
        whose = "ClientError" if client else "AlgorithmError"
        self.whose = self.whose or whose
        self._note(f"{item.source.bucket}/{item.source.key}: {whose}: {why}")

    def _note(self, text: str) -> None:
        """A line of the data log, as SageMaker writes them."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        for line in text.splitlines() or [""]:
            self.data_log.write(f"{now}:[sagemaker logs]: {line}")

    # -- output -------------------------------------------------------------------------------------------

    def _store(self, items: list[Item]) -> None:
        """The outputs of the objects that were answered whole; a stop or an error takes them back."""
        target = self.request["TransformOutput"]
        bucket, prefix = objects.split(target["S3OutputPath"])
        stored: list[str] = []
        try:
            for item in items:
                self._require_going()
                if not item.failed:
                    key = "/".join(part for part in (prefix.rstrip("/"), f"{item.source.path}.out") if part)
                    stored.append(key)
                    transfer.upload_file(self.s3, item.output, bucket, key, target.get("KmsKeyId") or None)
        except (Stopped, failure.JobFailed):
            for key in stored:
                try:
                    self.s3.delete_object(Bucket=bucket, Key=key)
                except (ClientError, BotoCoreError) as error:
                    log.warning("%s: %s stays: %s", self.job.name, key, error)
            raise

    def _conclude(self, items: list[Item]) -> None:
        failed = [item for item in items if item.failed]
        if failed:
            first = failed[0]
            others = f" (and {len(failed) - 1} more of {len(items)} objects)" if len(failed) > 1 else ""
            raise failure.JobFailed(
                f"{self.whose}: See job logs for more information. {first.source.uri}: {first.failed}{others}"
            )
        self.job.still_wanted()
        self.job.edit(self._ended("Completed"))

    @staticmethod
    def _ended(status: str) -> Any:
        def change(record: Record) -> None:
            advance(record, STATUS, status)
            record["TransformEndTime"] = record["LastModifiedTime"]

        return change
