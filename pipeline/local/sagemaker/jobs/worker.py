"""Job threads: started, stopped, and never leaving a job InProgress.

Every job has one thread. Whatever it raises ends its job as Failed with the reason. Jobs of a server that
is gone are marked at the next start.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from pipeline.local.api.store import Scope
from pipeline.local.api.store import Store as Records
from pipeline.local.runner import STOP_GRACE_SECONDS, CannotStart, StopRequest
from pipeline.local.sagemaker import injected
from pipeline.local.sagemaker.jobs import failure
from pipeline.local.sagemaker.store import Record, store
from pipeline.local.sagemaker.transitions import advance, final

log = logging.getLogger(__name__)
_BEGUN = time.time()  # what is older was another server's
INTERRUPTED = "InternalServerError: the local target was stopped while the job ran; start the job again."


class Gone(Exception):
    """The job's record was deleted (a reset): there is nothing left to tell."""


class LiveJob:
    """A job that runs in this process.

    Args:
        kind: of the store, e.g. `training-job`.
        status: the record's field, e.g. `TrainingJobStatus`.
        records: where its record is.
    """

    def __init__(
        self, scope: Scope, kind: str, name: str, status: str, records: Records[Any] = store
    ) -> None:
        self.scope, self.kind, self.name, self.status = scope, kind, name, status
        self.records = records
        self.stop = StopRequest()
        self.interrupted = False
        self.thread: threading.Thread | None = None

    def edit(self, change: Callable[[Record], None]) -> Record:
        """Change the job's record, under the store's lock; the changed record."""
        try:
            with self.records.edit(self.scope, self.kind, self.name) as record:
                change(record)
                return record
        except KeyError:
            raise Gone(self.name) from None

    def still_wanted(self) -> None:
        """Raise if the server is stopping."""
        if self.interrupted:
            raise failure.JobInterrupted


_guard = threading.Lock()
_live: dict[tuple[str, str, str, str], LiveJob] = {}


def grace() -> float:
    """Seconds between SIGTERM and SIGKILL: SageMaker's 120 unless PIPELINE_LOCAL_STOP_GRACE says less."""
    with contextlib.suppress(KeyError, ValueError):
        return min(STOP_GRACE_SECONDS, max(0.0, float(os.environ["PIPELINE_LOCAL_STOP_GRACE"])))
    return STOP_GRACE_SECONDS


def start(
    job: LiveJob,
    work: Callable[[LiveJob], None],
    fail: Callable[[Record, str], None],
    after: Callable[[], None] = lambda: None,
) -> None:
    """Run `work(job)` in a thread of its own; `fail(record, reason)` marks its record as Failed.

    Args:
        after: what follows the job's end, without the store's lock.
    """
    key = _key(job.scope, job.kind, job.name)
    with _guard:
        _live[key] = job
    context = contextvars.copy_context()

    def run() -> None:
        try:
            context.run(_guarded, job, work, fail)
            context.run(after)
        finally:
            with _guard:
                _live.pop(key, None)

    job.thread = threading.Thread(target=run, name=f"{job.kind}-{job.name}", daemon=True)
    job.thread.start()


def find(scope: Scope, kind: str, name: str) -> LiveJob | None:
    """The running job, if this process runs it."""
    with _guard:
        return _live.get(_key(scope, kind, name))


def stop_all(kind: str, timeout: float = 8.0) -> None:
    """End all jobs of a kind at once: the server is stopping."""
    with _guard:
        jobs = [job for job in _live.values() if job.kind == kind]
    for job in jobs:
        job.interrupted = True
        job.stop.ask(grace=0.5)
    for job in jobs:
        if job.thread:
            job.thread.join(timeout)


def mark_interrupted(
    kind: str,
    status: str,
    fail: Callable[[Record, str], None],
    records: Records[Any] = store,
    created: str = "CreationTime",
) -> list[str]:
    """Fail the jobs that an earlier server left unfinished; their names.

    Args:
        created: the record's member for the time of its creation.
    """
    marked = []
    for scope in records.scopes():
        for name, record in records.items(scope, kind):
            if final(status, record[status]) or record[created] >= _BEGUN:
                continue
            with contextlib.suppress(KeyError), records.edit(scope, kind, name) as kept:
                fail(kept, INTERRUPTED)
                marked.append(name)
    return marked


def _guarded(job: LiveJob, work: Callable[[LiveJob], None], fail: Callable[[Record, str], None]) -> None:
    try:
        injected.before_job(job.kind, job.name)
        work(job)
        return
    except Gone:
        return
    except failure.JobInterrupted:
        reason = INTERRUPTED
    except failure.JobFailed as error:
        reason = INTERRUPTED if job.interrupted else error.reason
    except CannotStart as error:
        reason = f"ClientError: {error}"
    except Exception as error:
        log.exception("%s %s", job.kind, job.name)
        reason = f"InternalServerError: {type(error).__name__}: {error}"
        reason = INTERRUPTED if job.interrupted else reason

    def end(record: Record) -> None:
        if not final(job.status, record[job.status]):
            fail(record, reason[: failure.LIMIT])

    with contextlib.suppress(Gone):
        job.edit(end)


def fail_record(record: Record, status: str, reason: str, end_time: str, now: float) -> None:
    """The part of failing that all kinds of jobs share."""
    advance(record, status, "Failed")
    record["FailureReason"] = reason
    record[end_time] = now


def _key(scope: Scope, kind: str, name: str) -> tuple[str, str, str, str]:
    return scope.account, scope.region, kind, name
