"""The environment's variables as typed settings, all wrong ones told at once.

From SageMaker and its inference toolkit
    SAGEMAKER_BIND_TO_PORT (8080), SAGEMAKER_SAFE_PORT_RANGE, SAGEMAKER_BASE_DIR (/opt/ml), SAGEMAKER_PROGRAM
    (inference.py), SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT (application/json), SAGEMAKER_MODEL_SERVER_WORKERS,
    SAGEMAKER_MODEL_SERVER_TIMEOUT (60 s an invocation), SAGEMAKER_MAX_PAYLOAD_IN_MB (batch transform),
    SAGEMAKER_MAX_CONCURRENT_TRANSFORMS, SM_NUM_CPUS, OMP_NUM_THREADS
Ours
    HOST (0.0.0.0), MAX_REQUEST_BYTES (6,291,456: InvokeEndpoint's), SERVING_HEAD_SECONDS (10: until a
    request's head is there), SERVING_BODY_SECONDS (60: until its body is, and until an answer is taken),
    SERVING_IDLE_SECONDS (75: a connection kept alive), SERVING_GRACE_SECONDS (25: from SIGTERM to the end;
    SageMaker kills after 30), SERVING_MAX_CONNECTIONS (1024 a worker), SERVING_MAX_QUEUE (256 waiting
    requests a worker), SERVING_BATCH_REQUESTS (0: no micro-batching) and SERVING_BATCH_MS (2),
    SERVING_ACCESS_LOG (all, errors, off), SERVING_USER (whom the workers become once the model is loaded),
    SERVING_DEPLOYMENT (the endpoint configuration, told with the model's own metrics: metrics.py)
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import machine
from .errors import SettingsError

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
# A worker holds its model; loading often needs it twice for a moment. The rest is Python.
MODEL_COPIES, WORKER_BYTES = 3, 64 * 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """Sizes in bytes, times in seconds."""

    host: str
    port: int
    safe_ports: range
    model_dir: Path
    program: str
    default_accept: str
    workers: int
    threads: int
    max_body: int
    timeout: float
    head_seconds: float
    body_seconds: float
    idle_seconds: float
    grace: float
    max_connections: int
    max_queue: int
    batch_requests: int
    batch_seconds: float
    access_log: str
    user: str

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Raises SettingsError, all reasons at once."""
        reader = _Reader(os.environ if environ is None else environ)
        megabytes = reader.whole("SAGEMAKER_MAX_PAYLOAD_IN_MB", 0, 0, 100)
        max_body = reader.whole("MAX_REQUEST_BYTES", 6_291_456, 1, 1 << 31)
        model_dir = Path(reader.text("SAGEMAKER_BASE_DIR", "/opt/ml")) / "model"
        workers, threads = _workers_and_threads(reader, model_dir)
        made = cls(
            host=reader.text("HOST", "0.0.0.0"),  # the port is published by SageMaker, not by us
            port=reader.whole("SAGEMAKER_BIND_TO_PORT", 8080, 1, 65535),
            safe_ports=reader.ports("SAGEMAKER_SAFE_PORT_RANGE"),
            model_dir=model_dir,
            program=reader.text("SAGEMAKER_PROGRAM", "inference.py"),
            default_accept=reader.text("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "application/json"),
            workers=workers,
            threads=threads,
            max_body=megabytes * 1024 * 1024 or max_body,
            timeout=reader.seconds("SAGEMAKER_MODEL_SERVER_TIMEOUT", 60),
            head_seconds=reader.seconds("SERVING_HEAD_SECONDS", 10),
            body_seconds=reader.seconds("SERVING_BODY_SECONDS", 60),
            idle_seconds=reader.seconds("SERVING_IDLE_SECONDS", 75),
            grace=reader.seconds("SERVING_GRACE_SECONDS", 25),
            max_connections=reader.whole("SERVING_MAX_CONNECTIONS", 1024, 1, 65536),
            max_queue=reader.whole("SERVING_MAX_QUEUE", 256, 1, 65536),
            batch_requests=reader.whole("SERVING_BATCH_REQUESTS", 0, 0, 4096),
            batch_seconds=reader.seconds("SERVING_BATCH_MS", 2) / 1000,
            access_log=reader.one_of("SERVING_ACCESS_LOG", ("all", "errors", "off")),
            user=reader.text("SERVING_USER", ""),
        )
        if reader.problems:
            raise SettingsError("\n".join(reader.problems))
        return made

    def thread_variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What keeps the workers' threads together within the processors; what is set already stays."""
        return {name: str(self.threads) for name in THREAD_VARIABLES if not environ.get(name)}

    def execution_parameters(self) -> dict[str, object]:
        """What batch transform asks for: as many requests at a time as are worked on at a time."""
        megabytes = max(1, self.max_body // (1024 * 1024))
        return {
            # SageMaker wants their product to be 100 MB at most.
            "MaxConcurrentTransforms": max(1, min(self.workers, 100 // megabytes)),
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": megabytes,
        }


def _workers_and_threads(reader: _Reader, model_dir: Path) -> tuple[int, int]:
    """Workers, and OpenMP threads for each, so that their product is within the processors."""
    cores = machine.processors(reader.environ)
    threads = reader.whole("OMP_NUM_THREADS", 0, 0, 4096)
    workers = reader.whole("SAGEMAKER_MODEL_SERVER_WORKERS", 0, 0, 256)
    if not workers:
        workers = max(1, cores // (threads or 1))
        available = machine.memory()
        if available is not None:
            need = WORKER_BYTES + MODEL_COPIES * machine.size_of(model_dir)
            workers = max(1, min(workers, available // need))
    return workers, threads or max(1, cores // workers)


class _Reader:
    """Reads variables, remembers what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []

    def text(self, name: str, default: str) -> str:
        return self.environ.get(name, "").strip() or default

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        given = self.text(name, "")
        if not given:
            return default
        if given.isascii() and given.isdigit() and least <= int(given) <= most:
            return int(given)
        self.problems.append(f"{name}={given!r}: a whole number from {least} to {most} is expected")
        return default

    def seconds(self, name: str, default: float) -> float:
        given = self.text(name, "")
        try:
            value = float(given or default)
        except ValueError:
            value = math.nan
        if math.isfinite(value) and value > 0:
            return value
        self.problems.append(f"{name}={given!r}: a number above 0 is expected")
        return default

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        given = self.text(name, known[0]).lower()
        if given not in known:
            self.problems.append(f"{name}={given!r}: one of {', '.join(known)} is expected")
        return given

    def ports(self, name: str) -> range:
        """`1024-1030`; nothing is bound in it here, it is for programs beside the server."""
        given = self.text(name, "")
        first, _, last = given.partition("-")
        if not given:
            return range(0)
        if first.isdigit() and last.isdigit() and 0 < int(first) <= int(last) <= 65535:
            return range(int(first), int(last) + 1)
        self.problems.append(f"{name}={given!r}: <first port>-<last port> is expected")
        return range(0)
