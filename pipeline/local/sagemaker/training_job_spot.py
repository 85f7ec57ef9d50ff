"""Managed spot training: instances taken away and given again, within MaxWaitTimeInSeconds.

The statuses and their order: https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training-status.html
What of the time is billed: DescribeTrainingJob's BillableTimeInSeconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from pipeline.local import faults
from pipeline.local.sagemaker import injected
from pipeline.local.sagemaker.jobs.worker import LiveJob
from pipeline.local.sagemaker.store import Record

# Seconds between two looks at whether the wait is still wanted.
_LOOK = 0.1


class Spot:
    """The spot instances of one training job.

    Args:
        job: its handle.
        record: as created.
    """

    def __init__(self, job: LiveJob, record: Record) -> None:
        self._job = job
        self._record = record
        self.managed = bool(record.get("EnableManagedSpotTraining"))
        self._watch: threading.Thread | None = None
        self._ended = threading.Event()
        self._fault: faults.Fault | None = None
        self._begun = 0.0
        self.lost = False

    @property
    def deadline(self) -> float:
        """When MaxWaitTimeInSeconds is over, in seconds since the epoch; infinite without spot instances."""
        limit: Any = self._record["StoppingCondition"].get("MaxWaitTimeInSeconds")
        return self._record["CreationTime"] + limit if self.managed and limit else float("inf")

    @property
    def too_late(self) -> bool:
        """Whether it is over."""
        return time.time() >= self.deadline

    def acquired(self) -> bool:
        """Whether there are instances to begin with; False once the wait for them was in vain, or stopped."""
        return not injected.no_spot(self._record) or self._wait(float("inf"))

    def watch(self, uploaded: Callable[[], bool]) -> None:
        """The program starts: from now on its instances may be taken away.

        Args:
            uploaded: whether something of its checkpoints lies in S3 by now.
        """
        self.lost = False
        self._ended.clear()
        self._begun = time.monotonic()
        self._fault = injected.spot(self._record)
        if self._fault is not None:
            self._watch = threading.Thread(
                target=self._strike, args=(self._fault, uploaded), name="spot-loss", daemon=True
            )
            self._watch.start()

    def ended(self) -> bool:
        """The program ended: whether because its instances were taken away."""
        self._ended.set()
        if self._watch is not None:
            self._watch.join()
            self._watch = None
        if not self.lost:
            self._missed()
            return False
        self._job.stop.withdraw()
        return True

    def regained(self) -> bool:
        """Wait for other instances; False when none came in time, or the job is being stopped."""
        gone = self._fault.gone if self._fault else 0.0
        return self._wait(time.time() + gone if gone >= 0 else float("inf"))

    def _strike(self, fault: faults.Fault, uploaded: Callable[[], bool]) -> None:
        over = self._ended.wait(fault.after)
        while not over and fault.checkpointed and not uploaded():
            over = self._ended.wait(_LOOK)
        if over:
            return
        self.lost = True
        # The worst case: no notice, and what was not yet uploaded is lost.
        self._job.stop.ask(grace=0.0)

    def _missed(self) -> None:
        fault, self._fault = self._fault, None
        if fault is None:
            return
        seconds = time.monotonic() - self._begun
        why = ", and no checkpoint was uploaded" if fault.checkpointed and seconds >= fault.after else ""
        injected.missed(fault, f"{self._record['TrainingJobName']}: it ended after {seconds:.1f} s{why}")

    def _wait(self, until: float) -> bool:
        """Whether `until` (seconds since the epoch) came before the deadline and a stop."""
        while time.time() < until:
            self._job.still_wanted()
            if self._job.stop.asked or self.too_late:
                return False
            time.sleep(_LOOK)
        return not self.too_late
