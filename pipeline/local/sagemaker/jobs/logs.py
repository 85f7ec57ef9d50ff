"""A program's output to CloudWatch Logs as it comes, and its metrics to CloudWatch, as the job's role.

On AWS a role without logs permissions has a job that runs and leaves no logs; so it is here. The reason
is kept in `undelivered` and written to the server's log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

log = logging.getLogger(__name__)
_EVERY = 0.2  # seconds between two deliveries
_BATCH_EVENTS = 10_000  # PutLogEvents' limits
_BATCH_BYTES = 1_048_576
_EVENT_OVERHEAD = 26
_WAITING = 200_000  # events kept for a slow delivery; a program that prints faster waits


class LogStream:
    """One stream; `write` is cheap and any thread's, `close` delivers the rest.

    Args:
        client: boto3 client of CloudWatch Logs.
        also: called with each line and its time, in the writer's thread.
        after: called after each delivery, in the delivering thread.
    """

    def __init__(
        self,
        client: Any,
        group: str,
        stream: str,
        also: Callable[[str, float], None] | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        self._client = client
        self.group, self.stream = group, stream
        self._also = also
        self._after = after
        self._events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._closed = False
        self.undelivered = ""
        self._made = False
        self._thread = threading.Thread(target=self._deliver, name=f"logs-{stream}", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Take one line."""
        now = time.time()
        if self._also:
            self._also(line, now)
        with self._changed:
            if len(self._events) >= _WAITING and not self._closed:
                self._changed.wait_for(lambda: len(self._events) < _WAITING or self._closed)
            # CloudWatch refuses an empty message; an empty line is still a line.
            self._events.append({"timestamp": int(now * 1000), "message": line or " "})

    def close(self) -> None:
        """Deliver what is left; returns when it is there."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _deliver(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed, timeout=_EVERY)
                events, self._events = self._events, []
                closed = self._closed
                self._changed.notify_all()
            if events and not self.undelivered:
                try:
                    self._put(events)
                except (ClientError, BotoCoreError) as error:
                    self.undelivered = str(error)
                    log.warning("no logs of %s: %s", self.stream, error)
            if events and self._after:
                self._after()
            if closed:
                with self._changed:
                    if not self._events:
                        return

    def _put(self, events: list[dict[str, Any]]) -> None:
        self._make()
        batch: list[dict[str, Any]] = []
        size = 0
        for event in events:
            weight = len(event["message"].encode()) + _EVENT_OVERHEAD
            if batch and (size + weight > _BATCH_BYTES or len(batch) >= _BATCH_EVENTS):
                self._send(batch)
                batch, size = [], 0
            batch.append(event)
            size += weight
        self._send(batch)

    def _send(self, batch: list[dict[str, Any]]) -> None:
        self._client.put_log_events(logGroupName=self.group, logStreamName=self.stream, logEvents=batch)

    def _make(self) -> None:
        if self._made:
            return
        try:
            self._stream()
        except self._client.exceptions.ResourceNotFoundException:
            try:
                self._client.create_log_group(logGroupName=self.group)
            except self._client.exceptions.ResourceAlreadyExistsException:
                log.debug("%s was made meanwhile", self.group)
            self._stream()
        self._made = True

    def _stream(self) -> None:
        try:
            self._client.create_log_stream(logGroupName=self.group, logStreamName=self.stream)
        except self._client.exceptions.ResourceAlreadyExistsException:
            log.debug("%s exists", self.stream)
