"""Parallel and Map: branches that run at once, each in its own thread, scope and line of events."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable
from typing import Any

from pipeline.local.states import paths, query, seams, template
from pipeline.local.states.cancel import SIBLING_FAILED, Signal, Stopped
from pipeline.local.states.engine import Outcome, finish, following, handles, walk
from pipeline.local.states.errors import QUERY_EVALUATION, Fault, StateFailure
from pipeline.local.states.frame import Frame
from pipeline.local.states.guard import guarded
from pipeline.local.states.jsontext import dumps

logger = logging.getLogger("pipeline.local.states")

# AWS runs "up to 40 iterations" of an inline Map at once when MaxConcurrency is 0.
INLINE_CONCURRENCY = 40


class Shared:
    """A reference that deepcopy leaves alone."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def __deepcopy__(self, _memo: dict[int, Any]) -> Shared:
        return self


class Fork:
    """Work split over threads; the first failure cancels the rest and is the fork's failure."""

    def __init__(self, frame: Frame, frames: list[Frame]) -> None:
        self.frame = frame
        self.frames = frames
        self.results: list[Any] = [None] * len(frames)
        self.failed_frame: Frame | None = None
        self.last_frame: Frame | None = frames[-1] if frames else None
        self._failure: StateFailure | None = None
        self._ended = 0
        self._lock = threading.Lock()
        self._signal = Signal()

    def run(self, work: list[Callable[[], Any]], concurrency: int) -> list[Any]:
        """All results in order; raises the first failure, or Stopped, after every thread has ended."""
        if not work:
            return []
        queue = iter(range(len(work)))

        def worker() -> None:
            while True:
                with self._lock:
                    index = next(queue, None)
                if index is None or self._failure is not None or self.frame.scope.cancelled:
                    break
                self._one(index, work[index])
            with self._lock:
                self._ended += 1
                if self._ended == len(threads):
                    self._signal.finish()

        # Each thread keeps the request's account and region, which the stores are scoped by.
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(worker,), daemon=True)
            for _ in range(min(concurrency, len(work)))
        ]
        for thread in threads:
            thread.start()
        try:
            self.frame.scope.wait(self._signal)
        finally:
            # Cancelled or not: a branch stops its job before the state is left.
            for thread in threads:
                thread.join()
            for frame in self.frames:
                frame.scope.close()
        if self._failure is not None:
            raise self._failure
        self.frame.scope.check()
        return self.results

    def _one(self, index: int, task: Callable[[], Any]) -> None:
        try:
            self.results[index] = task()
            with self._lock:
                self.last_frame = self.frames[index]
        except Stopped:
            return
        except StateFailure as failure:
            self._fail(self.frames[index], failure)
        except Exception as error:
            logger.exception("a branch of %s failed unexpectedly", self.frame.state)
            self._fail(self.frames[index], StateFailure("States.Runtime", f"{type(error).__name__}: {error}"))

    def _fail(self, frame: Frame, failure: StateFailure) -> None:
        with self._lock:
            if self._failure is not None:
                return
            self._failure, self.failed_frame = failure, frame
        for other in self.frames:
            if other is not frame:
                other.scope.cancel(SIBLING_FAILED)


@handles("Parallel")
def _parallel(frame: Frame, state: dict[str, Any], data: Any) -> Outcome:
    def attempt() -> Outcome:
        effective = _effective(frame, state, data)
        frame.line.add("ParallelStateStarted")
        frames = [frame.branch() for _branch in state["Branches"]]
        fork = Fork(frame, frames)
        work = [
            _walk_branch(one, branch, effective)
            for one, branch in zip(frames, state["Branches"], strict=True)
        ]
        results = _joined(frame, fork, lambda: fork.run(work, len(work)))
        frame.line.add("ParallelStateSucceeded", advance=False)
        return finish(frame, state, data, results, next_state=following(state))

    return guarded(frame, state, data, attempt, lambda: _failed(frame, "ParallelStateFailed"))


def _walk_branch(frame: Frame, machine: dict[str, Any], data: Any) -> Callable[[], Any]:
    return lambda: walk(frame, machine, data)


def _joined(frame: Frame, fork: Fork, run: Callable[[], list[Any]]) -> list[Any]:
    """Run the fork; afterwards the state's line follows the branch that decided."""
    try:
        results = run()
    except StateFailure:
        if fork.failed_frame is not None:
            frame.line.last = fork.failed_frame.line.last
        raise
    if fork.last_frame is not None:
        frame.line.last = fork.last_frame.line.last
    return results


def _failed(frame: Frame, kind: str) -> None:
    frame.line.add(kind)


def _effective(frame: Frame, state: dict[str, Any], data: Any) -> Any:
    """A Parallel's input for its branches: InputPath and Parameters, or Arguments."""
    if frame.is_jsonata(state):
        return (
            query.evaluate(state["Arguments"], frame.env(data), "Arguments") if "Arguments" in state else data
        )
    effective = paths.filtered(state, "InputPath", frame.env(data))
    if "Parameters" in state:
        return template.payload(state["Parameters"], frame.env(effective))
    return effective


@handles("Map")
def _map(frame: Frame, state: dict[str, Any], data: Any) -> Outcome:
    processor = state.get("ItemProcessor") or state["Iterator"]

    def attempt() -> Outcome:
        effective = data if frame.is_jsonata(state) else paths.filtered(state, "InputPath", frame.env(data))
        if (processor.get("ProcessorConfig") or {}).get("Mode") == "DISTRIBUTED":
            return _distributed(frame, state, data, effective, processor)
        items = _items(frame, state, data, effective)
        limit = _concurrency(frame, state, data, effective)
        frame.line.add("MapStateStarted", {"length": len(items)})
        results = _iterate(frame, state, data, effective, processor, items, limit)
        frame.line.add("MapStateSucceeded", advance=False)
        return finish(frame, state, data, results, next_state=following(state))

    return guarded(frame, state, data, attempt, lambda: _failed(frame, "MapStateFailed"))


def _items(frame: Frame, state: dict[str, Any], data: Any, effective: Any) -> list[Any]:
    if frame.is_jsonata(state):
        items = query.typed(state, "Items", "array", frame.env(data)) if "Items" in state else data
    else:
        items = paths.reference(state.get("ItemsPath", "$"), frame.env(effective))
    if not isinstance(items, list):
        if frame.is_jsonata(state):
            raise Fault(f"Map state input must be an array but was: {dumps(items)}", error=QUERY_EVALUATION)
        path = state.get("ItemsPath", "$")
        raise Fault(f'Reference path "{path}" must point to array.')
    return items


def _concurrency(frame: Frame, state: dict[str, Any], data: Any, effective: Any) -> int:
    """Iterations at once; 0 is as many as AWS runs."""
    value: Any = state.get("MaxConcurrency", 0)
    if frame.is_jsonata(state) and "MaxConcurrency" in state:
        value = query.typed(state, "MaxConcurrency", "number", frame.env(data))
    elif "MaxConcurrencyPath" in state:
        path = state["MaxConcurrencyPath"]
        value = paths.reference(path, frame.env(effective))
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            shown = value if isinstance(value, str) else dumps(value)
            raise Fault(
                f'The MaxConcurrencyPath field refers to value "{shown}" which is not a valid integer: {path}'
            )
    if value < 0:
        raise Fault("MaxConcurrency cannot be negative.")
    return min(int(value) or INLINE_CONCURRENCY, INLINE_CONCURRENCY)


def _iterate(
    frame: Frame,
    state: dict[str, Any],
    data: Any,
    effective: Any,
    processor: dict[str, Any],
    items: list[Any],
    limit: int,
) -> list[Any]:
    start = frame.line.last
    frames = [
        frame.branch(start, Map={"Item": {"Index": index, "Value": item}}) for index, item in enumerate(items)
    ]
    fork = Fork(frame, frames)
    name = frame.state
    selector = state.get("ItemSelector", state.get("Parameters"))

    def iteration(index: int, one: Frame) -> Callable[[], Any]:
        def work() -> Any:
            details = {"name": name, "index": index}
            if limit == 1 and index:
                # One after the other: each iteration's events follow those of the one before.
                one.line.last = frames[index - 1].line.last
            one.line.add("MapIterationStarted", details)
            try:
                item = _selected(frame, one, state, selector, data, effective, items[index])
                result = walk(one, processor, item)
            except Stopped:
                one.line.add("MapIterationAborted", details, advance=False)
                raise
            except StateFailure:
                one.line.add("MapIterationFailed", details, advance=False)
                raise
            ends[index] = one.line.add("MapIterationSucceeded", details, advance=False)
            return result

        return work

    ends = [0] * len(items)
    work = [iteration(index, one) for index, one in enumerate(frames)]
    results = _joined(frame, fork, lambda: fork.run(work, limit))
    # The state follows the iteration that ended last.
    frame.line.last = max(ends, default=frame.line.last)
    return results


def _selected(
    outer: Frame, frame: Frame, state: dict[str, Any], selector: Any, data: Any, effective: Any, item: Any
) -> Any:
    """One iteration's input: the item, or ItemSelector over the Map's input with $$.Map.Item."""
    if selector is None:
        return item
    frame.state, frame.entered = outer.state, outer.entered
    try:
        if outer.is_jsonata(state):
            return query.evaluate(selector, frame.env(data), "ItemSelector")
        return template.payload(selector, frame.env(effective), "ItemSelector")
    except Fault as fault:
        raise frame.failure(fault) from fault


def _distributed(
    frame: Frame, state: dict[str, Any], data: Any, effective: Any, processor: dict[str, Any]
) -> Outcome:
    """MiniStack's distributed Map (map runs, item readers); its child executions run in our engine."""
    context = {**frame.context, "variables": frame.variables, "QueryLanguage": frame.language}
    # MiniStack copies the context for each item; what must not be copied goes in wrapped.
    context["_frame"] = Shared(frame)
    record = frame.run.record
    try:
        output, next_state = seams.sfn._run_distributed_map(
            state, data, effective, processor, record, context
        )
    except seams.DistributedMapError as error:
        raise StateFailure(error.error, error.cause) from error
    return Outcome(output, next_state)
