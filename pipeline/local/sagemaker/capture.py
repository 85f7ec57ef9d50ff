"""Inference data capture: a share of an endpoint's requests and answers, in S3 as SageMaker lays them out.

    <DestinationS3Uri>/<endpoint>/<variant>/<yyyy>/<mm>/<dd>/<hh>/<mm>-<ss>-<ms>-<uuid>.jsonl

A request only puts its parts into a queue; one thread makes lines of them and writes them with the model's
execution role, after a moment or when much has gathered, and at the end. What cannot be written is said in
the endpoint's log and in CaptureStatus; requests go on. SageMaker stops capturing before a disk fills; this
stops while more than _KEPT_BYTES wait.
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

from __future__ import annotations

import base64
import json
import logging
import random
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.local import roles
from pipeline.local.sagemaker import model_data, telemetry
from pipeline.local.sagemaker.store import Scope

log = logging.getLogger(__name__)

_PAUSE = 2.0  # seconds in which lines gather for one file
_FILE_BYTES = 8 * 2**20  # of requests and answers in one file
_KEPT_BYTES = 128 * 2**20  # waiting; what comes beyond is not captured
_CUSTOM = "x-amzn-sagemaker-custom-attributes"
_INFERENCE = "x-amzn-sagemaker-inference-id"


@dataclass(frozen=True)
class _Event:
    """One request and its answer, as they went by."""

    at: float
    headers: dict[str, str]
    body: bytes
    answer_type: str
    answer: bytes

    @property
    def size(self) -> int:
        return len(self.body) + len(self.answer)


class Sink:
    """Where the requests of one variant of one deployment go; made by `of`.

    Args:
        scope: of the endpoint.
        endpoint: its name.
        variant: as in the fleet's plan.
        config: DataCaptureConfig of the endpoint configuration.
    """

    def __init__(self, scope: Scope, endpoint: str, variant: dict[str, Any], config: dict[str, Any]) -> None:
        self.scope = scope
        self.name = f"{endpoint}/{variant['VariantName']}"
        self.role = variant["Model"]["RoleArn"]
        self.config = config
        self.share = config["InitialSamplingPercentage"] / 100.0
        # Whether what was captured last could be written; what DescribeEndpoint tells.
        self.works = True
        # Bytes that came, counted by the event loop, and that are off the queue again, by the writer.
        self.came = self.gone = 0
        self.lost = 0
        self.queued = False
        self.events: deque[_Event] = deque()
        self.tell = telemetry.endpoint_log(
            scope, self.role, endpoint, f"{variant['VariantName']}/data-capture"
        )
        modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
        self.input = bool(modes & {"Input", "InputAndOutput"})
        self.output = bool(modes & {"Output", "InputAndOutput"})

    def take(self, headers: dict[str, str], body: bytes, answer_type: str, answer: bytes) -> None:
        """Keep this request if it falls to the sample. On the event loop: no more than a few microseconds."""
        if self.share < 1.0 and random.random() >= self.share:
            return
        if self.came - self.gone > _KEPT_BYTES:
            self.lost += 1
            return
        event = _Event(time.time(), headers, body, answer_type, answer)
        self.came += event.size
        self.events.append(event)
        if not self.queued:
            self.queued = True
            _wake(self)

    def flush(self) -> None:
        """Write all that waits. In a thread: it asks S3."""
        with _writing:
            self.queued = False
            while self.events:
                self._write(self._batch())
        if self.lost:
            lost, self.lost = self.lost, 0
            self._say(f"{lost} requests were not captured: more came than could be written")

    def _batch(self) -> list[_Event]:
        """The next events of one hour and about one file's size."""
        batch = [self.events.popleft()]
        size, hour = batch[0].size, int(batch[0].at // 3600)
        while self.events and size < _FILE_BYTES and int(self.events[0].at // 3600) == hour:
            batch.append(self.events.popleft())
            size += batch[-1].size
        self.gone += size
        return batch

    def _write(self, batch: list[_Event]) -> None:
        place = model_data.Location.of(self.config["DestinationS3Uri"])
        first = datetime.fromtimestamp(batch[0].at, UTC)
        file = f"{first:%Y/%m/%d/%H/%M-%S}-{first.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        key = "/".join(part for part in (place.key.rstrip("/"), self.name, file) if part)
        text = "".join(json.dumps(self.record(event), separators=(",", ":")) + "\n" for event in batch)
        encryption = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.config["KmsKeyId"]}
            if self.config.get("KmsKeyId")
            else {}
        )
        try:
            service = model_data.client("s3", self.scope, self.role, "SageMaker")
            service.put_object(Bucket=place.bucket, Key=key, Body=text.encode(), **encryption)
            self.works = True
        except (ClientError, BotoCoreError, roles.RoleNotAssumable) as error:
            self.works = False
            self._say(f"{len(batch)} requests were not captured to s3://{place.bucket}/{key}: {error}")

    def _say(self, what: str) -> None:
        log.warning("endpoint %s: %s", self.name, what)
        self.tell(f"local target: {what}")

    def record(self, event: _Event) -> dict[str, Any]:
        """One line, as SageMaker writes it."""
        captured: dict[str, Any] = {}
        if self.input:
            given = event.headers.get("content-type", "application/octet-stream")
            captured["endpointInput"] = self._part("INPUT", given, event.body)
        if self.output:
            captured["endpointOutput"] = self._part("OUTPUT", event.answer_type, event.answer)
        metadata: dict[str, Any] = {"eventId": str(uuid.uuid4())}
        if _CUSTOM in event.headers:
            metadata["customAttributes"] = [event.headers[_CUSTOM]]
        if _INFERENCE in event.headers:
            metadata["inferenceId"] = event.headers[_INFERENCE]
        metadata["inferenceTime"] = f"{datetime.fromtimestamp(event.at, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return {"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"}

    def _part(self, mode: str, content_type: str, data: bytes) -> dict[str, str]:
        encoding, text = self._encoded(content_type, data)
        return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}

    def _encoded(self, content_type: str, data: bytes) -> tuple[str, str]:
        """CSV and JSON as text where the configuration names the type, all else in base64."""
        plain = content_type.partition(";")[0].strip().lower()
        known = self.config.get("CaptureContentTypeHeader") or {}
        for encoding, member in (("CSV", "CsvContentTypes"), ("JSON", "JsonContentTypes")):
            if plain in (each.lower() for each in known.get(member, ())):
                try:
                    return encoding, data.decode()
                except UnicodeDecodeError:
                    break  # not what its header says: nothing of it may be lost
        return "BASE64", base64.b64encode(data).decode("ascii")


def of(scope: Scope, endpoint: str, spec: dict[str, Any]) -> dict[str, Sink]:
    """The sinks of a fleet's plan by variant; none where nothing is captured."""
    config = spec.get("Capture")
    if not config or not config.get("EnableCapture", True):
        return {}
    return {variant["VariantName"]: Sink(scope, endpoint, variant, config) for variant in spec["Variants"]}


def summary(spec: dict[str, Any], sinks: dict[str, Sink]) -> dict[str, Any] | None:
    """DescribeEndpoint's DataCaptureConfig; None where the configuration speaks of no capture."""
    config = spec.get("Capture")
    if not config:
        return None
    enabled = config.get("EnableCapture", True)
    works = all(sink.works for sink in sinks.values())
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled and works else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }


# --- one thread for all endpoints -----------------------------------------------------------------

_waiting: set[Sink] = set()
_work = threading.Event()
_writing = threading.Lock()
_lock = threading.Lock()
_thread: threading.Thread | None = None


def flush() -> None:
    """Write what all endpoints have waiting. Called by the thread, and once more before the server ends."""
    with _lock:
        sinks = list(_waiting)
        _waiting.clear()
    for sink in sinks:
        sink.flush()


def _wake(sink: Sink) -> None:
    global _thread
    with _lock:
        _waiting.add(sink)
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="endpoint-capture", daemon=True)
            _thread.start()
    _work.set()


def _run() -> None:
    while True:
        _work.wait()
        # Let a file gather; what comes while it is written wakes the next round.
        time.sleep(_PAUSE)
        _work.clear()
        try:
            flush()
        except Exception:
            log.exception("endpoint capture")
