"""An execution's life: started, run in a thread of its own, ended once; stopped, timed out or found dead."""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
from typing import Any

# The modules behind the state types register themselves when they are imported.
from pipeline.local.states import fork, seams, task  # noqa: F401
from pipeline.local.states.cancel import ABORTED, TIMED_OUT, Scope, Stopped
from pipeline.local.states.clock import now_iso, wait_scale
from pipeline.local.states.engine import walk
from pipeline.local.states.errors import RUNTIME, TIMEOUT, StateFailure
from pipeline.local.states.frame import Frame, Run
from pipeline.local.states.history import INCLUDED, History, Line
from pipeline.local.states.jsontext import dumps

logger = logging.getLogger("pipeline.local.states")

INTERRUPTED = "LocalTarget.Interrupted"
INTERRUPTED_CAUSE = (
    "The local target was stopped or killed while this execution was running. "
    "Its jobs were ended with it; start the execution again."
)

_running: dict[str, Execution] = {}
_lock = threading.Lock()


def new_record(arn: str, machine: dict[str, Any], name: str, text: str, **more: Any) -> dict[str, Any]:
    """The record of a new execution, in the shape of MiniStack's store.

    All keys are there from the start: the record is read while it changes.
    """
    return {
        "executionArn": arn,
        "stateMachineArn": machine["stateMachineArn"],
        "name": name,
        "status": "RUNNING",
        "startDate": now_iso(),
        "stopDate": None,
        "input": text,
        "inputDetails": {"included": True},
        "output": None,
        "outputDetails": {"included": True},
        "error": None,
        "cause": None,
        "redriveCount": 0,
        "events": [],
        **more,
    }


class Execution:
    """One running execution.

    Args:
        record: from `new_record`, already in the store.
        machine: the state machine or the version that runs: its definition, role and name.
    """

    def __init__(self, record: dict[str, Any], machine: dict[str, Any]) -> None:
        self.record = record
        self.machine = machine
        self.definition: dict[str, Any] = json.loads(machine["definition"])
        self.history = History(record["events"])
        limit = self.definition.get("TimeoutSeconds")
        self.scope = Scope(deadline=None if limit is None else time.monotonic() + limit)
        self._ending = threading.Lock()
        details = {"input": record["input"], "inputDetails": INCLUDED, "roleArn": machine["roleArn"]}
        self.history.append(0, "ExecutionStarted", details, "executionStartedEventDetails")

    def start(self) -> None:
        """Run in the background; the thread keeps the request's account and region."""
        with _lock:
            _running[self.record["executionArn"]] = self
        seams.emit_status(self.record)
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self.run,), name=f"execution {self.record['name']}", daemon=True
        ).start()

    def run(self) -> None:
        """Walk the machine to its end and record how it ended."""
        frame = self.frame()
        try:
            output = walk(frame, self.definition, frame.context["Execution"]["Input"])
            text = dumps(output)
            details = {"output": text, "outputDetails": INCLUDED}
            self.end("SUCCEEDED", "ExecutionSucceeded", details, frame.line.last, output=text)
        except StateFailure as failure:
            self._failed(failure, frame)
        except Stopped as stopped:
            if stopped.reason == TIMED_OUT:
                self.end("TIMED_OUT", "ExecutionTimedOut", {"error": TIMEOUT}, frame.line.last)
        except Exception as error:
            logger.exception("execution %s failed unexpectedly", self.record["executionArn"])
            self._failed(StateFailure(RUNTIME, f"{type(error).__name__}: {error}"), frame)
        finally:
            with _lock:
                _running.pop(self.record["executionArn"], None)

    def _failed(self, failure: StateFailure, frame: Frame) -> None:
        self.end("FAILED", "ExecutionFailed", failure.details(), frame.line.last, **failure.details())

    def frame(self) -> Frame:
        """The execution's own line, with the context object."""
        arn = self.record["executionArn"].split(":")
        run = Run(self.record, self.machine["roleArn"], account=arn[4], region=arn[3], scale=wait_scale())
        context = {
            "Execution": {
                "Id": self.record["executionArn"],
                "Input": json.loads(self.record["input"]),
                "StartTime": self.record["startDate"],
                "Name": self.record["name"],
                "RoleArn": self.machine["roleArn"],
                "RedriveCount": self.record["redriveCount"],
            },
            "StateMachine": {"Id": self.record["stateMachineArn"], "Name": self.machine["name"]},
        }
        language = self.definition.get("QueryLanguage", "JSONPath")
        return Frame(run, self.scope, Line(self.history), context, language=language)

    def stop(self, error: str | None, cause: str | None) -> None:
        """StopExecution: ABORTED at once; the thread then stops the job it waits for."""
        said = {key: value for key, value in (("error", error), ("cause", cause)) if value is not None}
        self.end("ABORTED", "ExecutionAborted", said, 0, **said)
        self.scope.cancel(ABORTED)

    def end(self, status: str, event: str, details: dict[str, Any], previous: int, **fields: Any) -> None:
        """Record the end; only the first one counts."""
        with self._ending:
            if self.record["status"] != "RUNNING":
                return
            self.history.close(event, details, previous)
            self.record.update(fields)
            self.record["stopDate"] = now_iso()
            self.record["status"] = status
        seams.emit_status(self.record)


def running(arn: str) -> Execution | None:
    """The execution if it is under way in this process."""
    with _lock:
        return _running.get(arn)


def stop_all() -> None:
    """End every line without recording anything: the process is about to end."""
    with _lock:
        live = list(_running.values())
    for execution in live:
        execution.scope.cancel(ABORTED)


def recover() -> int:
    """Mark executions FAILED that the store has as RUNNING and no thread runs; how many there were."""
    found = 0
    for record in list(seams.executions.all_values()):
        if record.get("status") != "RUNNING" or running(record["executionArn"]) is not None:
            continue
        found += 1
        details = {"error": INTERRUPTED, "cause": INTERRUPTED_CAUSE}
        last = record["events"][-1]["id"] if record.get("events") else 0
        History(record.setdefault("events", [])).close("ExecutionFailed", details, last)
        record.update(status="FAILED", stopDate=now_iso(), **details)
    return found
