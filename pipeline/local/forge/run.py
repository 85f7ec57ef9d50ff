"""One workflow run: its checkout, its services, act, and a record that outlives all three."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import PipelineError, SettingsError
from pipeline.local.forge import checkout, groups, workflow
from pipeline.local.forge.control import Control, Terms
from pipeline.local.forge.events import OWNER_ID, REPOSITORY_ID, Event
from pipeline.local.forge.expressions import text
from pipeline.local.forge.github_store import RIGHTS
from pipeline.local.forge.home import Home
from pipeline.local.forge.places import write
from pipeline.local.forge.progress import Progress, conclusion
from pipeline.local.oidc import Job, Key
from pipeline.local.paths import StatePaths

Say = Callable[[str], None]
_STOP_SECONDS = 15.0
# What a job may know of the person's own shell; credentials are not among it.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME", "DOCKER_HOST", "DOCKER_CONFIG")
_KEPT_PREFIXES = (
    "PIP_",
    "UV_",
    "SSL_",
    "REQUESTS_",
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
)


class Run:
    """One workflow, started by one event.

    Args:
        endpoint_url: of the local target.
        api_url: of the forge's REST API.
        say: takes lines for people.
    """

    def __init__(
        self,
        home: Home,
        path: str,
        content: Mapping[str, Any],
        event: Event,
        *,
        endpoint_url: str,
        api_url: str,
        say: Say,
    ) -> None:
        self.home, self.path, self.content, self.event = home, path, content, event
        self.endpoint_url, self.api_url = endpoint_url, api_url
        self.name = str(content.get("name") or path)
        self.status, self.conclusion = "queued", ""
        self.number = int(home.store.put("runs", self._facts())["id"])
        self.folder = home.places.runs / str(self.number)
        self.folder.mkdir(parents=True)
        self._say = lambda line: say(f"[{self.name} #{self.number}] {line}")
        self.progress = Progress(self.name, self._say, self._log)
        self._checked: set[str] = set()
        self._process: subprocess.Popen[str] | None = None
        write(self.folder / "event.json", event.payload)

    @property
    def url(self) -> str:
        return f"https://github.com/{self.home.repository.full_name}/actions/runs/{self.number}"

    def _facts(self) -> dict[str, Any]:
        asked = self.event.payload.get("pull_request") or {}
        head = asked.get("head") or {}
        return {
            "name": self.name,
            "path": self.path,
            "event": self.event.name,
            "head_sha": head.get("sha") or self.event.sha,
            "head_branch": self.event.head_ref or self.event.branch or self.event.tag,
            "head_repository": head.get("repo") or self.home.repository.facts(),
            "pull_request": asked.get("number") or 0,
            "status": self.status,
            "conclusion": self.conclusion or None,
            "pid": os.getpid(),
        }

    def record(self) -> dict[str, Any]:
        """Write down how it stands: the run, and a check for each job that has ended."""
        jobs = list(self.progress.jobs.values())
        facts = {**self._facts(), "jobs": [job.as_dict() for job in jobs]}
        for job in jobs:
            if job.status == "completed" and job.name not in self._checked:
                self._checked.add(job.name)
                check = {"name": job.name, "head_sha": facts["head_sha"], "status": "completed"}
                self.home.store.put(
                    "checks", {**check, "conclusion": job.conclusion, "details_url": self.url}
                )
        changed = self.home.store.change("runs", self.number, facts)
        assert changed is not None
        return changed

    def cancelled(self) -> bool:
        """Whether somebody asked for its end."""
        return (self.folder / "cancel").exists()

    def execute(self) -> str:
        """Run it to its end; the conclusion."""
        group, cancels, all_wait = workflow.group(self.content.get("concurrency"))
        try:
            context = self._context()
            name = text(group, context)
            if name and text(cancels, context) == "true":
                self._cancel_those_in(name)
            with groups.acquire(
                self.home.places.groups,
                f"workflow {name}" if name else "",
                f"{self.name} #{self.number}",
                all_wait=all_wait,
                waiting=self._say,
                given_up=self.cancelled,
            ):
                self._carry_out()
        except groups.Superseded as superseded:
            self._say(f"cancelled: {superseded}")
            self.conclusion = "cancelled"
        except (PipelineError, OSError) as error:
            self._say(f"FAILED: {error}")
            self._log(f"FAILED: {error}")
            self.conclusion = "failure"
        self.status = "completed"
        self.record()
        return self.conclusion

    def _carry_out(self) -> None:
        self.status = "in_progress"
        self.record()
        folder = self.folder / "checkout"
        registered = StatePaths.of(self.home.places.root).checkouts / str(self.number)
        token = self.home.store.token(_known(workflow.rights(self.content, self.event.fork)))
        terms = Terms(
            run=self.number,
            about=self._about(),
            may_have_tokens=frozenset()
            if self.event.fork
            else frozenset(
                job
                for job in self.content["jobs"]
                if workflow.may(self.content, job).get("id-token") == "write"
            ),
            reviewed=self.home.reviewed,
            all_wait=frozenset(
                name
                for name, job in self.content["jobs"].items()
                if workflow.group(job.get("concurrency"))[2]
            ),
            approvals=self.home.places.approvals,
            groups=self.home.places.groups,
            cancelled=self.cancelled,
            waiting=self._waiting,
        )
        key = Key.at(StatePaths.of(self.home.places.root).oidc_key)
        try:
            checkout.make(self.home.repository, self.event.sha, folder)
            registered.parent.mkdir(parents=True, exist_ok=True)
            registered.write_text(str(folder), encoding="utf-8")
            with Control(terms, key) as control:
                made = workflow.prepared(self.content, control.url, _code())
                file = self.folder / "workflow.yml"
                file.write_text(yaml.safe_dump(made, sort_keys=False), encoding="utf-8")
                self._act(folder, file, control, token)
                self._summaries(control)
        finally:
            self.home.store.withdraw(token)
            registered.unlink(missing_ok=True)
            checkout.remove(folder)
        expected = {str(id_): workflow.title(str(id_), job) for id_, job in self.content["jobs"].items()}
        self.progress.ended(expected)
        self.conclusion = conclusion(list(self.progress.jobs.values()), self.cancelled())

    def _act(self, folder: Path, file: Path, control: Control, token: str) -> None:
        composites = [
            yaml.safe_load(path.read_text(encoding="utf-8"))
            for path in sorted((folder / ".github" / "actions").glob("*/action.y*ml"))
        ]
        cache = self.home.places.cache / str(self.number)
        repository = self.home.repository
        said = {
            "GITHUB_API_URL": self.api_url,
            "GITHUB_RUN_ID": str(self.number),
            "GITHUB_RUN_NUMBER": str(self.number),
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_WORKFLOW_REF": f"{repository.full_name}/{self.path}@{self.event.ref}",
            "GITHUB_WORKFLOW_SHA": self.event.sha,
            "GITHUB_BASE_REF": self.event.base_ref,
            "GITHUB_HEAD_REF": self.event.head_ref,
            "RUNNER_ENVIRONMENT": "self-hosted",
            "CI": "true",
            "NO_COLOR": "1",
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            # The person's own profiles are not the job's.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "PIPELINE_GITHUB_REPOSITORY": repository.full_name,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            # For the artifact actions' stand-ins.
            "FORGE_ROOT": str(self.home.places.root),
            "FORGE_CODE": str(_code()),
            "FORGE_PYTHON": sys.executable,
        }
        secret = self.folder / "secrets"
        secret.touch(mode=0o600)
        secret.write_text(f"GITHUB_TOKEN={token}\nFORGE_SECRET={control.secret}\n", encoding="utf-8")
        command = [
            str(Path(sys.executable).parent / "act"),
            self.event.name,
            *("--eventpath", str(self.folder / "event.json")),
            *("--workflows", str(file)),
            *("--directory", str(folder)),
            *("--secret-file", str(secret)),
            *("--actor", self.event.actor),
            *("--action-cache-path", str(cache)),
            *("--defaultbranch", repository.default_branch),
            "--no-cache-server",
            # `.venv` is ignored by git, and has to come along.
            "--use-gitignore=false",
            "--action-offline-mode",
            "--json",
            *(f"--platform={image}=-self-hosted" for image in _images(self.content)),
            *(f"--env={name}={value}" for name, value in said.items()),
            *workflow.stand_ins([self.content], composites),
        ]
        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            assert self._process.stdout is not None
            watcher = threading.Thread(target=self._watch, args=(self._process,), daemon=True)
            watcher.start()
            for line in self._process.stdout:
                before = {job.name: job.status for job in self.progress.jobs.values()}
                self.progress.line(line)
                if before != {job.name: job.status for job in self.progress.jobs.values()}:
                    self.record()
            self._process.wait()
            watcher.join()
        finally:
            secret.unlink(missing_ok=True)
            shutil.rmtree(cache, ignore_errors=True)

    def _watch(self, process: subprocess.Popen[str]) -> None:
        """End act and its jobs when the run is cancelled: SIGTERM, then SIGKILL."""
        while process.poll() is None:
            if self.cancelled():
                self._say("cancelled: ending its jobs")
                end(process)
                return
            time.sleep(0.2)

    def stop(self) -> None:
        """End act and its jobs now; for a runner that is told to end."""
        (self.folder / "cancel").touch()
        if self._process is not None:
            end(self._process)

    def _waiting(self, name: str, why: str) -> None:
        self.progress.waiting(name, why)
        self.record()

    def _summaries(self, control: Control) -> None:
        if control.summaries:
            parts = [f"<!-- {name} -->\n{said.strip()}\n" for name, said in control.summaries]
            (self.folder / "summary.md").write_text("\n".join(parts), encoding="utf-8")

    def _log(self, line: str) -> None:
        with (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _about(self) -> Job:
        return Job(
            repository=self.home.repository.full_name,
            ref=self.event.ref,
            sha=self.event.sha,
            event_name=self.event.name,
            workflow=self.name,
            workflow_path=self.path,
            base_ref=self.event.base_ref,
            head_ref=self.event.head_ref,
            actor=self.event.actor,
            repository_id=REPOSITORY_ID,
            owner_id=OWNER_ID,
            run_id=self.number,
            run_number=self.number,
        )

    def _context(self) -> dict[str, Any]:
        event = self.event
        return {
            "github": {
                "event": event.payload,
                "event_name": event.name,
                "ref": event.ref,
                "ref_name": event.ref.removeprefix("refs/heads/").removeprefix("refs/tags/"),
                "head_ref": event.head_ref,
                "base_ref": event.base_ref,
                "sha": event.sha,
                "run_id": self.number,
                "workflow": self.name,
                "repository": self.home.repository.full_name,
                "actor": event.actor,
            },
            "inputs": event.payload.get("inputs") or {},
        }

    def _cancel_those_in(self, name: str) -> None:
        """`cancel-in-progress`: what runs in the group ends for this one's sake."""
        who = groups.running(self.home.places.groups, f"workflow {name}")
        number = who.rpartition("#")[2]
        if number.isdigit() and self.home.store.get("runs", number):
            (self.home.places.runs / number / "cancel").touch()
            self._say(f"cancels {who}, which is in {name}")


def end(process: subprocess.Popen[str]) -> None:
    """SIGTERM to act and all its jobs, SIGKILL to what is left after a while."""
    for number, patience in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return


def _images(content: Mapping[str, Any]) -> list[str]:
    labels = set()
    for job in content["jobs"].values():
        on = job.get("runs-on", "ubuntu-latest")
        if not isinstance(on, str) or not on.startswith("ubuntu"):
            raise SettingsError(f"the local remote has no runner {json.dumps(on)}", hint="use ubuntu-24.04")
        labels.add(on)
    return sorted(labels)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    kept.update({n: v for n, v in os.environ.items() if n.startswith(_KEPT_PREFIXES)})
    return kept


def _code() -> Path:
    """The folder that this package is imported from."""
    return Path(__file__).resolve().parents[3]


def _known(rights: Mapping[str, str]) -> dict[str, str]:
    """The rights that the forge's API knows, by its names."""
    everything = rights.get("*")
    named = {name.replace("-", "_"): right for name, right in rights.items()}
    return {name: right for name in RIGHTS if (right := named.get(name, everything)) in ("read", "write")}
