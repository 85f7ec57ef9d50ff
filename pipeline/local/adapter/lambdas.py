"""Seam: MiniStack's Lambda workers. An error has its class's name, as on AWS, so that `Catch` matches it."""

from __future__ import annotations

import queue
import re
import sys
import threading
from pathlib import Path
from typing import Any

_DIED = re.compile(r"Worker (?:process died|returned no response)")
_TIMED_OUT = re.compile(r"Task timed out after [\d.]+ seconds")

# As `lambda_worker.LOG_END`; the program stands alone and cannot share it.
LOG_END = "\x1eend of invocation"
_LOG_SECONDS = 0.25

_last = threading.local()


def install(lambda_svc: Any) -> None:
    """Give Python functions our worker program, and take its account of an error."""
    from ministack.core import lambda_runtime

    theirs = lambda_runtime._detect_runtime_binary
    program = Path(__file__).with_name("lambda_worker.py").read_text()

    def detect(runtime: str) -> tuple[str, str]:
        binary, script = theirs(runtime)
        return (binary, program) if runtime.startswith("python") else (binary, script)

    lambda_runtime._detect_runtime_binary = detect

    invoke = lambda_runtime.Worker.invoke

    def invoke_kept(worker: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        result: dict[str, Any] = invoke(worker, *args, **kwargs)
        _last.raised = result.get("raised")
        return result

    lambda_runtime.Worker.invoke = invoke_kept

    wait_for_log = lambda_runtime.Worker._drain_stderr_bounded

    def log_of(worker: Any) -> str:
        if not str(worker.config.get("Runtime", "")).startswith("python"):
            return str(wait_for_log(worker))
        return _log(worker._stderr_queue)

    lambda_runtime.Worker._drain_stderr_bounded = log_of

    execute = lambda_svc._execute_function_warm

    def execute_told(func: dict, event: Any, request_id: str) -> dict[str, Any]:
        _last.raised = None
        result: dict[str, Any] = execute(func, event, request_id)
        if result.get("error"):
            result["body"] = _body(result.get("body"), request_id, _last.raised)
        return result

    lambda_svc._execute_function_warm = execute_told


def stop() -> None:
    """End all workers and wait for them; without it they would end some time after the server."""
    lambda_runtime = sys.modules.get("ministack.core.lambda_runtime")
    if lambda_runtime is None:
        return
    with lambda_runtime._lock:
        workers = [worker for entries in lambda_runtime._workers.values() for worker in entries]
        lambda_runtime._workers.clear()
    lambda_runtime.kill_workers(workers)


def _log(lines: queue.Queue[str]) -> str:
    """What the function wrote up to the mark that our program sets behind each invocation.

    MiniStack waits 50 ms to see whether anything comes, which is most of a warm invocation.
    """
    found: list[str] = []
    try:
        while True:
            line = lines.get(timeout=_LOG_SECONDS)
            if line.endswith(LOG_END):
                # The function may have left its last line open.
                found += filter(None, [line.removesuffix(LOG_END)])
                break
            found.append(line)
    except queue.Empty:
        pass  # the process died before it could set the mark
    return "\n".join(found)


def _body(body: Any, request_id: str, raised: dict[str, Any] | None) -> Any:
    """The payload of a failed invocation, as AWS's Python runtime shapes it."""
    if raised is not None:
        return {**raised, "requestId": request_id}
    if not isinstance(body, dict):
        return body
    message = str(body.get("errorMessage", ""))
    if _TIMED_OUT.fullmatch(message):
        return {"errorType": "Sandbox.Timedout", "errorMessage": f"RequestId: {request_id} Error: {message}"}
    if _DIED.match(message):
        said = f"RequestId: {request_id} Error: Runtime exited without providing a reason"
        return {"errorType": "Runtime.ExitError", "errorMessage": said}
    return body
