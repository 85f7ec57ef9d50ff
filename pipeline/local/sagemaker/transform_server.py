"""The model of a transform job while it runs: its `serve`, what it asks for, and requests to it."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.local import ecr
from pipeline.local.runner import CannotStart, ServerProcess, instances, start_server
from pipeline.local.sagemaker import fleet, isolation, model_data
from pipeline.local.sagemaker.jobs import failure, session
from pipeline.local.sagemaker.store import Record, Scope

log = logging.getLogger(__name__)
# What AWS does without ModelClientConfig.
INVOCATION_SECONDS = 600
RETRIES = 3
_PAUSE = 0.2  # seconds before the first repetition; each further one waits twice as long
_SHOWN = 300  # characters of what a model says of its failure


class Refused(Exception):
    """The model does not answer a request well.

    Args:
        client: the request is to blame (4xx), not the model.
    """

    def __init__(self, why: str, *, client: bool) -> None:
        super().__init__(why)
        self.client = client


@dataclass(frozen=True)
class Answer:
    """What the model made of one request."""

    body: bytes
    content_type: str


class Server:
    """One serve process of the model, for one job.

    Args:
        request: of CreateTransformJob.
        hosted: the model's record.
        log_line: takes each line that the process prints.
    """

    def __init__(
        self,
        scope: Scope,
        request: Record,
        hosted: Record,
        folder: Path,
        log_line: Callable[[str], None],
        role: session.JobSession,
    ) -> None:
        self.scope, self.request, self.hosted = scope, request, hosted
        self.folder, self.role = folder, role
        self._log = log_line
        self._ended = threading.Event()
        client = request.get("ModelClientConfig") or {}
        self._seconds = float(client.get("InvocationsTimeoutInSeconds") or INVOCATION_SECONDS)
        self._retries = int(client.get("InvocationsMaxRetries", RETRIES))
        self._own = threading.local()
        self._isolated = bool(hosted["EnableNetworkIsolation"])
        variant = {"VariantName": "transform", "Model": {"Isolated": self._isolated}}
        self._instance = fleet.Instance(variant, self._start)

    def prepare(self) -> None:
        """Fetch the image and the model data. Raises JobFailed."""
        container = self.hosted["Resolved"]
        role = self.hosted["ExecutionRoleArn"]
        try:
            resolved = model_data.resolve_image(self.scope, role, container["Image"])
            self._image = session.pull(resolved)
            model_data.fetch(
                self.scope, role, container.get("ModelDataUrl"), self.folder / "model", "container_1"
            )
        except (model_data.Unavailable, ecr.ImageNotFound) as error:
            raise failure.JobFailed(f"ClientError: {error}") from None

    def start(self, stopped: Callable[[], bool]) -> None:
        """Start `serve` and wait for /ping. Raises JobFailed."""
        try:
            self._instance.launch()
        except (CannotStart, OSError) as error:
            raise failure.JobFailed(
                f"ClientError: The model's container cannot be started: {error}"
            ) from None
        deadline = time.monotonic() + fleet.STARTUP_SECONDS
        pause = 0.02
        while not stopped():
            if not self._instance.alive():
                raise failure.JobFailed(
                    "AlgorithmError: The model's container ended before it passed the ping health check "
                    f"(exit code {self._code()}). See job logs for more information"
                )
            if self._instance.ping():
                return
            if time.monotonic() > deadline:
                raise failure.JobFailed(
                    "AlgorithmError: The model's container did not pass the ping health check in "
                    f"{fleet.STARTUP_SECONDS} seconds. See job logs for more information"
                )
            self._ended.wait(pause)
            pause = min(0.25, pause * 1.5)

    def parameters(self) -> dict[str, Any]:
        """What GET /execution-parameters answers; empty where the model has none."""
        try:
            connection = self._connection(fleet.PING_SECONDS)
            connection.request("GET", "/execution-parameters")
            response = connection.getresponse()
            body = response.read()
            found = json.loads(body) if response.status == 200 else {}
        except (OSError, http.client.HTTPException, ValueError):
            found = {}
        finally:
            self._drop()
        return found if isinstance(found, dict) else {}

    def invoke(self, payload: bytes, chunked: bool) -> Answer:
        """One POST /invocations, repeated where that may help. Raises Refused."""
        pause = _PAUSE
        for left in range(self._retries, -1, -1):
            try:
                return self._once(payload, chunked)
            except Refused as error:
                if error.client or not left or self._ended.is_set() or not self._instance.alive():
                    raise
                log.info("repeating a request: %s", error)
            self._ended.wait(pause)
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def end(self) -> None:
        """SIGTERM, then SIGKILL; what waits for an answer gets none."""
        self._ended.set()
        self._instance.end(grace=5.0)

    def _once(self, payload: bytes, chunked: bool) -> Answer:
        headers = {"Content-Type": self.request["TransformInput"].get("ContentType") or ""}
        accept = self.request["TransformOutput"].get("Accept")
        if accept:
            headers["Accept"] = accept
        headers = {name: value for name, value in headers.items() if value}
        try:
            connection = self._connection(self._seconds)
            if chunked:
                connection.request("POST", "/invocations", _pieces(payload), headers, encode_chunked=True)
            else:
                connection.request("POST", "/invocations", payload, headers)
            response = connection.getresponse()
            body = response.read()
        except TimeoutError:
            self._drop()
            raise Refused(f"no answer in {self._seconds:g} seconds", client=False) from None
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            if not self._instance.alive():
                raise Refused(f"the container ended (exit code {self._code()})", client=False) from None
            raise Refused(f"no answer: {error or type(error).__name__}", client=False) from None
        if response.will_close:
            self._drop()
        if response.status != 200:
            said = body.decode("utf-8", "replace").strip()[:_SHOWN]
            raise Refused(f"{response.status}: {said}", client=400 <= response.status < 500)
        return Answer(body, response.getheader("Content-Type") or "")

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        """This thread's own, kept from one request to the next."""
        kept: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if kept is None:
            kept = http.client.HTTPConnection("127.0.0.1", self._instance.backend.port, timeout=seconds)
            kept.sock = self._instance.backend.socket(seconds)
            self._own.connection = kept
        return kept

    def _drop(self) -> None:
        kept, self._own.connection = getattr(self._own, "connection", None), None
        if kept is not None:
            kept.close()

    def _code(self) -> str:
        process = self._instance.process
        return str(process.exit_code) if process else "unknown"

    def _start(self, instance: fleet.Instance, port: int) -> ServerProcess:
        kind = self.request["TransformResources"]["InstanceType"]
        resources = instances.available(kind)
        if isolation.lacking(self._isolated):
            self._log(f"local target: {isolation.NOT_ENFORCED}")
        return start_server(
            self._image,
            self.folder / "model",
            {
                **instances.threads(resources),
                **self.role.variables(not self._isolated),
                **self._told(),
                **self.hosted["Resolved"].get("Environment", {}),
                **(self.request.get("Environment") or {}),
            },
            port,
            self._log,
            name=f"transform job {self.request['TransformJobName']} {instance.backend.instance}",
            cores=resources.cpus,
            memory=instances.memory(kind),
            network=not self._isolated,
        )

    def _told(self) -> dict[str, str]:
        """The variables of batch transform; those that the request does not set are not passed."""
        found = {"SAGEMAKER_BATCH": "true"}
        if self.request.get("MaxPayloadInMB") is not None:
            found["SAGEMAKER_MAX_PAYLOAD_IN_MB"] = str(self.request["MaxPayloadInMB"])
        if self.request.get("MaxConcurrentTransforms"):
            found["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] = str(self.request["MaxConcurrentTransforms"])
        if self.request.get("BatchStrategy"):
            single = self.request["BatchStrategy"] == "SingleRecord"
            found["SAGEMAKER_BATCH_STRATEGY"] = "SINGLE_RECORD" if single else "MULTI_RECORD"
        return found


def _pieces(payload: bytes) -> Iterator[bytes]:
    for start in range(0, len(payload), 1 << 20):
        yield payload[start : start + (1 << 20)]
