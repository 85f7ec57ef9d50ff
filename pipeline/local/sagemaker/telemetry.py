"""Endpoints' log lines and invocation metrics on their way to CloudWatch, in batches, off the request's path.

Lines go with the model's execution role, as on AWS: a role without logs permissions gets no logs.
Metrics are SageMaker's own, by endpoint and variant, and once more by the endpoint configuration, so that two
fleets can be told apart while traffic shifts. One thread writes both, woken when there is something to write.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.local import roles
from pipeline.local.sagemaker import load, model_data
from pipeline.local.sagemaker.store import Scope

log = logging.getLogger(__name__)

_PAUSE = 1.0  # seconds between two writes
_BATCH = 1000  # lines in one PutLogEvents
_KEPT = 20000  # lines waiting; older ones are dropped, as a log driver does


@dataclass(frozen=True)
class _Stream:
    scope: Scope
    role: str
    group: str
    name: str


class _Count:
    """One metric since the last write: sum, number and extremes, or for percentiles how often which value."""

    __slots__ = ("high", "low", "number", "total", "values")

    def __init__(self, *, spread: bool = False) -> None:
        self.number, self.total, self.low, self.high = 0, 0.0, float("inf"), 0.0
        self.values: dict[float, int] | None = {} if spread else None

    def add(self, value: float) -> None:
        self.number += 1
        self.total += value
        self.low = min(self.low, value)
        self.high = max(self.high, value)
        if self.values is not None:
            rounded = float(f"{value:.2g}")
            self.values[rounded] = self.values.get(rounded, 0) + 1

    def datum(self) -> dict[str, Any]:
        """As PutMetricData takes it: at most 150 values, of which two digits leave few."""
        if self.values is not None and len(self.values) <= _MOST_VALUES:
            return {"Values": list(self.values), "Counts": [float(n) for n in self.values.values()]}
        statistics = {"SampleCount": float(self.number), "Sum": self.total}
        return {"StatisticValues": {**statistics, "Minimum": self.low, "Maximum": self.high}}


_MOST_VALUES = 150
_MetricKey = tuple[str, str, str, str, str]  # account, region, endpoint, variant, configuration
_lines: dict[_Stream, deque[tuple[int, str]]] = {}
_known: set[_Stream] = set()
_metrics: dict[_MetricKey, dict[str, _Count]] = {}
_lock = threading.Lock()
_work = threading.Event()
_thread: threading.Thread | None = None

_UNITS = dict.fromkeys(("ModelLatency", "OverheadLatency", "ModelSetupTime"), "Microseconds")
# Of these CloudWatch gives percentiles.
_SPREAD = frozenset({"ModelLatency", "ModelSetupTime"})


def endpoint_log(scope: Scope, role: str, endpoint: str, name: str) -> Callable[[str], None]:
    """A function that takes one line for `/aws/sagemaker/Endpoints/<endpoint>`, stream `name`."""
    stream = _Stream(scope, role, f"/aws/sagemaker/Endpoints/{endpoint}", name)

    def write(line: str) -> None:
        with _lock:
            _lines.setdefault(stream, deque(maxlen=_KEPT)).append((int(time.time() * 1000), line))
        _wake()

    return write


def count(key: _MetricKey, status: int, model_us: float, overhead_us: float, instances: int) -> None:
    """Count one invocation. `status` is the container's, 0 when it gave none; times in microseconds.

    `instances` is how many share the variant's requests; 0: serverless, which has no such metric.
    """
    values = {
        "Invocations": 1.0,
        "Invocation4XXErrors": 1.0 if 400 <= status < 500 else 0.0,
        "Invocation5XXErrors": 1.0 if status >= 500 or status == 0 else 0.0,
        "ModelLatency": model_us,
        "OverheadLatency": overhead_us,
    }
    if instances:
        values["InvocationsPerInstance"] = 1.0 / instances
        load.note(key[:4], 1.0 / instances)
    _add(key, values)


def cold_start(key: _MetricKey, seconds: float) -> None:
    """A serverless variant started one more process."""
    _add(key, {"ModelSetupTime": seconds * 1e6})


def _add(key: _MetricKey, values: dict[str, float]) -> None:
    with _lock:
        fresh = key not in _metrics
        kept = _metrics.setdefault(key, {})
        for name, value in values.items():
            if name not in kept:
                kept[name] = _Count(spread=name in _SPREAD)
            kept[name].add(value)
    if fresh:
        _wake()


def flush() -> None:
    """Write what has gathered. Called by the thread, and once more before the server ends."""
    with _lock:
        lines = {stream: list(waiting) for stream, waiting in _lines.items() if waiting}
        _lines.clear()
        metrics = dict(_metrics)
        _metrics.clear()
    for stream, events in lines.items():
        _put_lines(stream, events)
    for key, counts in metrics.items():
        _put_metrics(key, counts)


def _wake() -> None:
    global _thread
    _work.set()
    if _thread is None or not _thread.is_alive():
        with _lock:
            if _thread is None or not _thread.is_alive():
                _thread = threading.Thread(target=_run, name="endpoint-telemetry", daemon=True)
                _thread.start()


def _run() -> None:
    while True:
        _work.wait()
        # Let a batch gather; what comes while it is written wakes the next round.
        time.sleep(_PAUSE)
        _work.clear()
        try:
            flush()
        except Exception:
            log.exception("endpoint telemetry")


def _put_lines(stream: _Stream, events: list[tuple[int, str]]) -> None:
    try:
        logs = model_data.client("logs", stream.scope, stream.role, "SageMaker")
        if stream not in _known:
            _ensure(logs.create_log_group, logGroupName=stream.group)
            _ensure(logs.create_log_stream, logGroupName=stream.group, logStreamName=stream.name)
            _known.add(stream)
        for start in range(0, len(events), _BATCH):
            batch = events[start : start + _BATCH]
            logs.put_log_events(
                logGroupName=stream.group,
                logStreamName=stream.name,
                logEvents=[{"timestamp": at, "message": line or " "} for at, line in batch],
            )
    except (ClientError, BotoCoreError, roles.RoleNotAssumable) as error:
        _known.discard(stream)
        log.warning("no logs of %s %s: %s", stream.group, stream.name, error)


def _ensure(create: Callable[..., Any], **arguments: str) -> None:
    try:
        create(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise


def _put_metrics(key: _MetricKey, counts: dict[str, _Count]) -> None:
    account, region, endpoint, variant, config = key
    service = roles.client("cloudwatch", region, {"AccessKeyId": account, "SecretAccessKey": account})
    whole = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    now = time.time()
    try:
        service.put_metric_data(
            Namespace="AWS/SageMaker",
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": dimensions,
                    "Timestamp": now,
                    "Unit": _UNITS.get(name, "None"),
                    **one.datum(),
                }
                for name, one in counts.items()
                for dimensions in (whole, [*whole, {"Name": "EndpointConfigName", "Value": config}])
            ],
        )
    except (ClientError, BotoCoreError) as error:
        log.warning("no metrics of endpoint %s: %s", endpoint, error)
