"""One attempt at a Task, as its integration sees it: parameters, clients of the role, waiting, events."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from pipeline.local import roles
from pipeline.local.states import clients
from pipeline.local.states.cancel import Signal
from pipeline.local.states.errors import TASK_FAILED, TIMEOUT, StateFailure
from pipeline.local.states.frame import Frame
from pipeline.local.states.history import INCLUDED
from pipeline.local.states.jsontext import dumps
from pipeline.local.states.tokens import Waiting

logger = logging.getLogger("pipeline.local.states")

T = TypeVar("T")
REQUEST, SYNC, SYNC_2, TOKEN = "", ".sync", ".sync:2", ".waitForTaskToken"
_RESOURCE = re.compile(
    r"arn:aws[a-z-]*:states:[^:]*:[^:]*:(?P<service>[A-Za-z0-9:-]+):(?P<api>[A-Za-z0-9]+)"
    r"(?P<pattern>\.sync(?::2)?|\.waitForTaskToken)?"
)


class Resource(NamedTuple):
    """A Task's Resource: `arn` whole, and of a service integration its service, API and pattern."""

    arn: str
    service: str = ""
    api: str = ""
    pattern: str = REQUEST

    @property
    def name(self) -> str:
        """What the history shows as `resource`, e.g. createTrainingJob.sync."""
        return self.api + self.pattern


def parse_resource(arn: str) -> Resource:
    """The parts of a Resource; Lambda and activity ARNs have no service."""
    found = _RESOURCE.fullmatch(arn)
    if not found or found["service"].startswith("activity"):
        return Resource(arn)
    return Resource(arn, found["service"], found["api"], found["pattern"] or REQUEST)


class TimedOut(Exception):
    """TimeoutSeconds, or HeartbeatSeconds, passed."""

    def __init__(self, *, heartbeat: bool = False) -> None:
        super().__init__(TIMEOUT)
        self.heartbeat = heartbeat


@dataclass
class TaskCall:
    """One attempt.

    Args:
        deadline: time.monotonic() when TimeoutSeconds pass, or None.
        heartbeat: seconds a token may stay silent, or None.
        token: the task token and what waits behind it, for .waitForTaskToken and activities.
        role: the role of the Task's Credentials; "" for the machine's own.
    """

    frame: Frame
    resource: Resource
    parameters: Any
    deadline: float | None = None
    heartbeat: float | None = None
    token: str = ""
    waiting: Waiting | None = None
    role: str = ""

    def client(self, service: str) -> Any:
        """A boto3 client with the state machine's role, at our own endpoint."""
        run = self.frame.run
        machine = run.record["stateMachineArn"]
        try:
            if self.role:
                return clients.assumed(service, run.role_arn, run.region, machine, self.role)
            return clients.client(service, run.role_arn, run.region, machine)
        except roles.RoleNotAssumable as error:
            raise StateFailure(TASK_FAILED, clients.not_assumable(error)) from error
        except clients.TaskRoleRefused as error:
            raise StateFailure(TASK_FAILED, str(error)) from error

    def left(self) -> float | None:
        """Seconds until the timeout."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def call(self, request: Callable[[], T], undo: Callable[[T], None] | None = None) -> T:
        """Make a request that may take long, in a thread of its own, and wait for it.

        Raises TimedOut or Stopped without waiting further; the thread ends by itself, and where the request
        then still succeeds, `undo` takes it back (a job created in vain is stopped).
        """
        signal, lock = Signal(), threading.Lock()
        box: dict[str, Any] = {}

        def work() -> None:
            try:
                result = request()
            except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
                box["error"] = error
                signal.finish()
                return
            with lock:
                box["result"] = result
                abandoned = "abandoned" in box
            signal.finish()
            if abandoned and undo is not None:
                self.quietly(lambda: undo(result))

        threading.Thread(target=work, name=f"task {self.resource.name}", daemon=True).start()
        done = False
        try:
            done = self.frame.scope.wait(signal, self.left())
        finally:
            if not done:
                with lock:
                    box["abandoned"] = True
                    late = "result" in box
                if late and undo is not None:
                    self.quietly(lambda: undo(box["result"]))
        if not done:
            raise TimedOut
        if "error" in box:
            raise box["error"]
        result: T = box["result"]
        return result

    def pause(self, seconds: float) -> bool:
        """Wait between two looks at a job; True once its token was answered. Raises TimedOut or Stopped."""
        assert self.waiting is not None
        left = self.left()
        if self.frame.scope.wait(
            self.waiting.signal, seconds if left is None else max(0.0, min(seconds, left))
        ):
            return True
        if left is not None and left <= seconds:
            raise TimedOut
        return False

    def quietly(self, action: Callable[[], Any]) -> None:
        """Clean up: its failure is logged and changes nothing."""
        try:
            action()
        except Exception:
            logger.exception("cleaning up %s of %s", self.resource.name, self.frame.run.arn)

    def submitted(self, output: Any) -> None:
        """Record that the service has taken the work on."""
        self.frame.line.add(
            "TaskSubmitted",
            {
                "resourceType": self.resource.service,
                "resource": self.resource.name,
                "output": dumps(output),
                "outputDetails": INCLUDED,
            },
        )

    def told(self) -> Any:
        """Wait for the task token's answer, its heartbeats and the timeout; the outcome (tokens.Waiting)."""
        assert self.waiting is not None
        waiting = self.waiting
        while True:
            limits = [left for left in (self.left(), self._silence_left(waiting)) if left is not None]
            if self.frame.scope.wait(waiting.signal, max(0.0, min(limits)) if limits else None):
                return waiting.outcome
            left = self.left()
            if left is not None and left <= 0:
                raise TimedOut
            silence = self._silence_left(waiting)
            if silence is not None and silence <= 0:
                raise TimedOut(heartbeat=True)

    def _silence_left(self, waiting: Waiting) -> float | None:
        return None if self.heartbeat is None else waiting.beat + self.heartbeat - time.monotonic()
