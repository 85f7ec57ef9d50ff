"""The serve processes of one deployment of an endpoint: started, kept alive, drained, ended."""

from __future__ import annotations

import http.client
import logging
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipeline.local import context, roles
from pipeline.local.runner import CannotStart, ServerProcess, instances, start_server
from pipeline.local.sagemaker import capture, isolation, model_data, telemetry
from pipeline.local.sagemaker.backend import Backend
from pipeline.local.sagemaker.injected import MARK
from pipeline.local.sagemaker.netns import Connector
from pipeline.local.sagemaker.routes import FleetRoute, VariantRoute
from pipeline.local.sagemaker.store import Scope

log = logging.getLogger(__name__)

# AWS: a container has 8 minutes to pass /ping unless the variant says otherwise, and 2 s for each.
STARTUP_SECONDS = 480
PING_SECONDS = 2.0
# A program that ended this often while starting will not do better; AWS goes on until the time is up.
STARTUP_ATTEMPTS = 3
# Longer than a request may take, so that none is cut off.
DRAIN_SECONDS = 65.0
GRACE_SECONDS = 30.0
_CONTAINER = "container_1"


class StartFailed(Exception):
    """The fleet does not come up; the message is what FailureReason says."""


class Abandoned(Exception):
    """The local target is stopping: not a failure of the fleet."""


class Instance:
    """One serve process and what is needed to start it again."""

    def __init__(self, variant: dict[str, Any], start: Callable[[Instance, int], ServerProcess]) -> None:
        self.variant = variant
        self.backend = Backend("i-" + secrets.token_hex(8), 0)
        self.process: ServerProcess | None = None
        self.failures = 0
        self.restarting = False
        self._start = start

    def launch(self) -> None:
        """Start the process on a free port. Raises CannotStart."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.release()
        self.process = self._start(self, port)
        if self.variant["Model"].get("Isolated") and not isolation.lacking(True):
            self.backend.connector = Connector(self.process.pid)
        self.backend.port = port

    def ping(self) -> bool:
        """Whether /ping answers 200 within two seconds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.backend.port, timeout=PING_SECONDS)
        try:
            connection.sock = self.backend.socket(PING_SECONDS)
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.alive()

    def end(self, grace: float = GRACE_SECONDS) -> None:
        """SIGTERM, then SIGKILL; blocks until it is gone."""
        self.backend.healthy = False
        if self.process is not None:
            self.process.terminate(grace)
        self.release()

    def release(self) -> None:
        """Let go of the way into the process's network, if it has one of its own."""
        connector, self.backend.connector = self.backend.connector, None
        if connector is not None:
            connector.close()


class Fleet:
    """All instances of one deployment.

    Args:
        scope: of the endpoint.
        endpoint: its name.
        spec: the deployment as kept in the endpoint's record (see `blueprint.plan`).
        ceiling: upper bound of the wait for /ping in seconds, None for AWS's.
    """

    def __init__(self, scope: Scope, endpoint: str, spec: dict[str, Any], ceiling: float | None) -> None:
        self.scope = scope
        self.endpoint = endpoint
        self.spec = spec
        self._ceiling = ceiling
        self._ending = threading.Event()
        # Whether its containers are killed as they start, as the kernel does where memory is too little.
        self.short_of_memory = False
        self.variants: dict[str, list[Instance]] = {v["VariantName"]: [] for v in spec["Variants"]}
        # Of serverless variants, by name; see serverless.py.
        self.demands: dict[str, Any] = {}
        # Of variants whose requests are captured, by name.
        self.sinks = capture.of(scope, endpoint, spec)

    def instances(self) -> list[Instance]:
        """All of them."""
        return [instance for group in self.variants.values() for instance in group]

    def start(self) -> None:
        """Fetch data, start every instance, return when all are healthy.

        Raises:
            StartFailed: with AWS's words. Nothing is left running.
            Abandoned: end() was called meanwhile.
        """
        try:
            for variant in self.spec["Variants"]:
                self.grow(variant["VariantName"], variant["Count"])
        except BaseException:
            self.end(grace=5.0)
            raise

    def grow(self, name: str, count: int) -> None:
        """Bring a variant to at least `count` healthy instances; as start()."""
        variant = next(v for v in self.spec["Variants"] if v["VariantName"] == name)
        folder = self._model_folder(variant)
        try:
            model_data.image_folder(variant["Model"]["ResolvedImage"])
            model_data.fetch(
                self.scope,
                variant["Model"]["RoleArn"],
                variant["Model"].get("ModelDataUrl"),
                folder,
                _CONTAINER,
            )
        except model_data.Unavailable as error:
            raise StartFailed(str(error)) from None
        fresh = [Instance(variant, self._start_process) for _ in range(count - len(self.variants[name]))]
        self.variants[name] = self.variants[name] + fresh
        with ThreadPoolExecutor(max_workers=max(1, len(fresh))) as pool:
            for outcome in [pool.submit(self._until_healthy, instance) for instance in fresh]:
                outcome.result()

    def one_more(self, name: str) -> Instance:
        """One more healthy process of a variant that has had one, not yet among its instances; as start()."""
        variant = next(v for v in self.spec["Variants"] if v["VariantName"] == name)
        instance = Instance(variant, self._start_process)
        try:
            self._until_healthy(instance)
        except BaseException:
            instance.end(grace=5.0)
            raise
        return instance

    def shrink(self, name: str, count: int) -> list[Instance]:
        """Take instances beyond `count` out of the variant; the caller drains and ends them."""
        kept, gone = self.variants[name][:count], self.variants[name][count:]
        self.variants[name] = kept
        return gone

    def route(self) -> FleetRoute:
        """The fleet as the router sees it, with the weights of its spec."""
        weights = {variant["VariantName"]: variant["Weight"] for variant in self.spec["Variants"]}
        return FleetRoute(
            [
                VariantRoute(
                    name,
                    weights[name],
                    [i.backend for i in group],
                    self.spec["EndpointConfigName"],
                    self.demands.get(name),
                    self.sinks.get(name),
                )
                for name, group in self.variants.items()
            ]
        )

    def restart(self, instance: Instance) -> None:
        """Replace a dead or hanging process, waiting longer after each failure. Runs in its own thread."""
        instance.backend.healthy = False
        try:
            while not self._ending.is_set() and instance in self.instances():
                instance.end(grace=2.0)
                self._ending.wait(min(30.0, 0.25 * 2**instance.failures))
                try:
                    self._until_healthy(instance, attempts=1)
                except StartFailed as error:
                    instance.failures += 1
                    log.warning("endpoint %s: %s", self.endpoint, error)
                else:
                    instance.failures = 0
                    return
        except Abandoned:
            pass
        finally:
            instance.restarting = False

    def kill(self, instance: Instance, when: str) -> None:
        """End an instance's container as the kernel ends one that is out of memory: an injected fault."""
        if instance.process is not None and instance.alive():
            name = f"{instance.variant['VariantName']}/{instance.backend.instance}"
            write = telemetry.endpoint_log(
                self.scope, instance.variant["Model"]["RoleArn"], self.endpoint, name
            )
            write(f"{MARK}the container is killed (SIGKILL, exit code 137) for its memory {when}")
            instance.process.kill()

    def end(self, grace: float = GRACE_SECONDS) -> None:
        """Terminate all processes at once and wait for them."""
        self._ending.set()
        end_all(self.instances(), grace)

    def forget_data(self) -> None:
        """Remove the unpacked models of this deployment."""
        shutil.rmtree(self._folder(), ignore_errors=True)

    @property
    def ending(self) -> bool:
        """Whether end() was called."""
        return self._ending.is_set()

    def _folder(self) -> Path:
        return _data(self.scope, self.endpoint) / self.spec["Id"]

    def _model_folder(self, variant: dict[str, Any]) -> Path:
        return self._folder() / variant["VariantName"] / "model"

    def _start_process(self, instance: Instance, port: int) -> ServerProcess:
        variant = instance.variant
        model = variant["Model"]
        name = f"{variant['VariantName']}/{instance.backend.instance}"
        write = telemetry.endpoint_log(self.scope, model["RoleArn"], self.endpoint, name)
        if isolation.lacking(model.get("Isolated")):
            write(f"local target: {isolation.NOT_ENFORCED}")
        return start_server(
            model_data.image_folder(model["ResolvedImage"]),
            self._model_folder(variant),
            {**self._surroundings(model), **model.get("Environment", {})},
            port,
            write,
            name=f"endpoint {self.endpoint} {name}",
            memory=_memory(variant),
            network=not model.get("Isolated"),
        )

    def _surroundings(self, model: dict[str, Any]) -> dict[str, str]:
        """Region and role of a container; on AWS the role comes by a credentials URL, to the same effect.

        An isolated container gets no credentials, as on AWS.
        """
        region = {"AWS_REGION": self.scope.region, "AWS_DEFAULT_REGION": self.scope.region}
        if model.get("Isolated"):
            return region
        given = roles.credentials_for(model["RoleArn"], "SageMaker", model_data.SERVICE)
        return {
            **region,
            "AWS_ENDPOINT_URL": context.endpoint_url(),
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    def _until_healthy(self, instance: Instance, attempts: int = STARTUP_ATTEMPTS) -> None:
        variant = instance.variant
        limit = float(variant.get("HealthSeconds") or STARTUP_SECONDS)
        deadline = time.monotonic() + (min(limit, self._ceiling) if self._ceiling else limit)
        pause = 0.02
        launched = 0
        while True:
            if self._ending.is_set():
                raise Abandoned
            if not instance.alive():
                if launched == attempts:
                    break
                launched += 1
                try:
                    instance.launch()
                except (CannotStart, model_data.Unavailable, roles.RoleNotAssumable, OSError) as error:
                    name = variant["VariantName"]
                    raise StartFailed(
                        f"The container of production variant {name} cannot be started: {error}"
                    ) from None
            if self.short_of_memory:
                self.kill(instance, "while it loads the model")
            elif instance.ping():
                instance.backend.healthy = True
                return
            if time.monotonic() > deadline:
                break
            self._ending.wait(pause)
            pause = min(0.25, pause * 1.5)
        raise StartFailed(
            f"The primary container for production variant {variant['VariantName']} did not pass the ping "
            "health check. Please check CloudWatch logs for this endpoint."
        )


def _memory(variant: dict[str, Any]) -> int:
    """Bytes a process of the variant may take; 0: no limit is known."""
    if variant.get("Serverless"):
        return int(variant["Serverless"]["MemorySizeInMB"]) * 2**20
    return instances.memory(variant["InstanceType"]) if variant.get("InstanceType") else 0


def _data(scope: Scope, endpoint: str) -> Path:
    return Path(context.state_dir()) / "hosting" / scope.account / scope.region / endpoint


def forget_data(scope: Scope, endpoint: str) -> None:
    """Remove all unpacked models of an endpoint."""
    shutil.rmtree(_data(scope, endpoint), ignore_errors=True)


def drain(instances: list[Instance]) -> None:
    """Wait until none of them has a request in flight, for at most as long as a request may take."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while any(instance.backend.inflight for instance in instances) and time.monotonic() < deadline:
        time.sleep(0.02)


def end_all(instances: list[Instance], grace: float = GRACE_SECONDS) -> None:
    """End several at once."""
    if instances:
        with ThreadPoolExecutor(max_workers=len(instances)) as pool:
            list(pool.map(lambda instance: instance.end(grace), instances))
