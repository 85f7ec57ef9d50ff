"""One build from its first phase to its last, in a thread of its own, as its project's role."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.errors import SettingsError
from pipeline.local import context, roles
from pipeline.local.codebuild import build as phases
from pipeline.local.codebuild import engine, keeping, source, spec, surroundings
from pipeline.local.codebuild.interrupt import STOPPED, TIMED_OUT, Interrupt
from pipeline.local.codebuild.lookup import Lookup
from pipeline.local.codebuild.store import BUILD, Record, Scope, store
from pipeline.local.sagemaker.jobs.logs import LogStream

log = logging.getLogger(__name__)
# CodeBuild names its sessions so.
SESSION = "AWSCodeBuild-{}"
OWN_PHASES = frozenset({"INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD"})


def workplaces() -> Path:
    """Where builds have their folders."""
    return Path(context.state_dir()) / "builds"


class _Failed(Exception):
    """The phase under way failed; the text is its context: a code, a colon, words."""


class Work:
    """Carries one build out; the record in the store is what the world sees of it.

    Args:
        hidden: what StartBuild decided and no answer shows: `_artifacts` and `_logs`.
    """

    def __init__(self, scope: Scope, identity: str, hidden: Record) -> None:
        self.scope, self.id, self.hidden = scope, identity, hidden
        self.interrupt = Interrupt()
        self.done = threading.Event()
        self._stream: LogStream | None = None
        # What it is if nobody comes to say otherwise.
        self._result_status = "FAULT"
        self._thread = threading.Thread(target=self._run, name=f"build-{identity}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self, why: str) -> None:
        """End it: STOPPED or TIMED_OUT."""
        self.interrupt.ask(why)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        build = store.get(self.scope, BUILD, self.id)
        assert build is not None
        folder = workplaces() / self.id.replace(":", "-")
        timer = threading.Timer(build["timeoutInMinutes"] * 60, self.end, (TIMED_OUT,))
        timer.daemon = True
        timer.start()
        try:
            self._phases(build, folder)
        except _Failed as failed:
            self._ended("FAILED", str(failed))
        except Exception as error:
            # A build that nobody works at any more must not read as under way.
            log.exception("build %s", self.id)
            self._ended("FAULT", f"INTERNAL_SERVICE_ERROR: {type(error).__name__}: {error}")
        finally:
            timer.cancel()
            shutil.rmtree(folder, ignore_errors=True)
            self._complete()
            self.done.set()

    def _phases(self, build: Record, folder: Path) -> None:
        self._began("PROVISIONING")
        session = self._session(build)
        self._stream = self._logs(session, build)
        say = self._stream.write if self._stream else (lambda _: None)
        around = surroundings.make(folder)
        s3 = session("s3")
        place = folder / "src"
        self._began("DOWNLOAD_SOURCE")
        say(f"Phase is DOWNLOAD_SOURCE, {build['source']['type']}")
        try:
            version = source.fetch(s3, build["source"], build.get("sourceVersion", ""), place)
            text = source.buildspec(s3, build["source"], place)
        except source.SourceFailed as error:
            raise _Failed(str(error)) from None
        try:
            wanted = spec.parse(text)
        except SettingsError as error:
            raise _Failed(f"YAML_FILE_ERROR: {error.where}: {error.what}") from None
        if version:
            build["resolvedSourceVersion"] = version
            self._set(resolvedSourceVersion=version)
        lookup = Lookup(session)
        try:
            given = {v["name"]: lookup.variable(v) for v in build["environment"]["environmentVariables"]}
        except LookupError as error:
            raise _Failed(f"CLIENT_ERROR: Decrypted Variables Error: {error.args[0]}") from None
        if told := keeping.restore(s3, build.get("cache", {}), place):
            say(told)
        variables = {
            **around,
            **surroundings.told(
                build, build["source"].get("location", ""), self._stream.stream if self._stream else ""
            ),
            **self._credentials,
            **self._docker(build, folder),
            **given,
        }
        result = phases.run(
            wanted,
            place,
            variables,
            say,
            parameter=lookup.parameter,
            secret=lookup.secret,
            interrupt=self.interrupt,
            began=self._began,
        )
        for phase in result.phases:
            self._result(phase.name, phase.status, phase.context)
        self._set(exportedEnvironmentVariables=[{"name": k, "value": v} for k, v in result.exported.items()])
        if result.status in (STOPPED, TIMED_OUT):
            self._status(result.status)
            return
        if told := keeping.store(s3, build.get("cache", {}), wanted, place):
            say(told)
        # CodeBuild uploads what there is after a failed build, too, as far as post_build ran.
        if result.status == "SUCCEEDED" or any(phase.name == "POST_BUILD" for phase in result.phases):
            self._began("UPLOAD_ARTIFACTS")
            try:
                self._set(artifacts=keeping.artifacts(s3, self.hidden["_artifacts"], wanted, place, build))
            except keeping.KeepingFailed as error:
                raise _Failed(str(error)) from None
        self._began("FINALIZING")
        self._status(result.status)

    def _session(self, build: Record) -> Callable[[str], Any]:
        """Makes clients of the service role."""
        project = self.scope.arn(f"project/{build['projectName']}")
        name = SESSION.format(self.id.partition(":")[2])
        try:
            found = roles.credentials_for(build["serviceRole"], name, "codebuild", project)
        except roles.RoleNotAssumable as error:
            raise _Failed(
                "CLIENT_ERROR: CodeBuild is not authorized to perform: sts:AssumeRole on service role "
                f"{build['serviceRole']}: {error.why}"
            ) from None
        self._credentials = {
            "AWS_REGION": self.scope.region,
            "AWS_DEFAULT_REGION": self.scope.region,
            "AWS_ENDPOINT_URL": context.endpoint_url(),
            "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
            "AWS_SESSION_TOKEN": found["SessionToken"],
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return lambda service: roles.client(service, self.scope.region, found)

    def _logs(self, session: Callable[[str], Any], build: Record) -> LogStream | None:
        """The build's stream in CloudWatch Logs, unless it is switched off."""
        wanted = build["logs"]
        if wanted["cloudWatchLogs"]["status"] == "DISABLED":
            return None
        return LogStream(session("logs"), wanted["groupName"], wanted["streamName"])

    def _docker(self, build: Record, folder: Path) -> dict[str, str]:
        """Where the engine is; a build without privileged mode has none, as on AWS."""
        if not build["environment"].get("privilegedMode"):
            return engine.NONE
        return engine.install(surroundings.programs(folder), surroundings.SYSTEM_PATH)

    # --- the record -----------------------------------------------------------------------------

    def _set(self, **members: Any) -> None:
        with store.edit(self.scope, BUILD, self.id) as build:
            build.update(members)

    def _began(self, name: str) -> None:
        """A phase begins; the one before it, if nobody said otherwise, went well."""
        now = time.time()
        with store.edit(self.scope, BUILD, self.id) as build:
            _close(build["phases"], "SUCCEEDED", now)
            build["phases"].append({"phaseType": name, "startTime": now})
            build["currentPhase"] = name

    def _result(self, name: str, status: str, said: str) -> None:
        with store.edit(self.scope, BUILD, self.id) as build:
            phase = next((p for p in build["phases"] if p["phaseType"] == name), None)
            if phase is None:
                phase = {"phaseType": name, "startTime": time.time()}
                build["phases"].append(phase)
            _close([phase], status, time.time())
            phase["phaseStatus"] = status
            phase["contexts"] = _contexts(said)

    def _status(self, status: str) -> None:
        """How it ends; told when it has, since whoever waits looks at the status alone."""
        self._result_status = status

    def _ended(self, status: str, said: str) -> None:
        """The phase under way is the one that failed; a build that was to end ends as that."""
        status = self.interrupt.why or status
        with store.edit(self.scope, BUILD, self.id) as build:
            phase = build["phases"][-1]
            _close([phase], status, time.time())
            phase["phaseStatus"], phase["contexts"] = status, _contexts(said)
        self._status(status)
        if self._stream:
            self._stream.write(said)

    def _complete(self) -> None:
        if self._stream:
            self._stream.close()
        now = time.time()
        with store.edit(self.scope, BUILD, self.id) as build:
            _close(build["phases"], "SUCCEEDED", now)
            build["phases"].append({"phaseType": "COMPLETED", "startTime": now})
            ended = {"buildStatus": self._result_status, "currentPhase": "COMPLETED"}
            build.update(**ended, buildComplete=True, endTime=now)


def _close(phases_: list[Record], status: str, now: float) -> None:
    for phase in phases_:
        if "endTime" not in phase:
            phase.update(endTime=now, durationInSeconds=int(now - phase["startTime"]))
            phase.setdefault("phaseStatus", status)


def _contexts(said: str) -> list[dict[str, str]]:
    code, _, words = said.partition(": ")
    return [{"statusCode": code, "message": words}] if said else [{"statusCode": "", "message": ""}]
