"""Our workflow files run by act, unchanged but for what GitHub itself would hand each job.

act knows nothing of `permissions` and `environment`, so the two things they decide are put where GitHub puts
them: a job with `id-token: write` gets the address and bearer of a token that says what GitHub's would, and
`github.token` is one with exactly the job's rights. A fork's jobs get neither a token address nor a right to
write. Everything else is the file: needs, matrix, conditions, outputs, steps.

Other people's actions are stand-ins in tests/fixtures/actions; checkout is act's own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.ci.github import Forge
from pipeline.local.forge.github_api import GitHubApi
from pipeline.local.oidc import Endpoint, Job
from tests.conftest import REPOSITORY, Cli, copy_repository

NAME = "acme/gitops-ml"
EVENTS = REPOSITORY / "tests/fixtures/events"
STAND_INS = REPOSITORY / "tests/fixtures/actions"
BIN = Path(sys.executable).parent
# A whole workflow, on a machine that does other things besides.
TIMEOUT_SECONDS = 840
# What scripts/bootstrap writes when it has nothing left to do; it is computed as it computes it.
LOCKED = ("requirements.lock", "pyproject.toml", "scripts/bootstrap")
IDENTITY = {
    "GIT_AUTHOR_NAME": "alice",
    "GIT_AUTHOR_EMAIL": "alice@example.com",
    "GIT_COMMITTER_NAME": "alice",
    "GIT_COMMITTER_EMAIL": "alice@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


@dataclass
class Result:
    """What became of a run: how each job ended (`skipped` if act never began it), all output, artifacts."""

    jobs: dict[str, str]
    log: str
    artifacts: Path
    run: int
    summaries: str = ""

    def ended(self, **wanted: str) -> None:
        """Assert how jobs ended; with the log if one did not end so."""
        found = {name: self.jobs.get(name.replace("_", "-"), "skipped") for name in wanted}
        assert found == wanted, f"{found}\n{self.log}"


@dataclass
class World:
    """A repository with a local target, a token issuer, and a GitHub API."""

    root: Path
    cli: Cli
    endpoint_url: str
    tokens: Endpoint
    api: GitHubApi
    scratch: Path
    runs: list[Result] = field(default_factory=list)

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words],
            cwd=self.root,
            env={**os.environ, **IDENTITY},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, message: str, *paths: str) -> str:
        """Commit everything (or only `paths`); the new commit."""
        self.git("add", "-A", *paths)
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        file = self.root / path
        before = file.read_text()
        assert change(before) != before, path
        file.write_text(change(before))

    def forge(self) -> Forge:
        """The API, as an administrator sees it."""
        from pipeline.ci.rest import Rest

        rights = {"actions": "read", "issues": "write", "pull_requests": "write"}
        return Forge(Rest(self.api.url, self.api.store.token(rights)), NAME)

    def run(
        self,
        workflow: str,
        fixture: str,
        *,
        event: str = "",
        ref: str = "refs/heads/main",
        environment: str = "",
        change: Callable[[dict[str, Any]], None] = lambda _: None,
        alter: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> Result:
        """Run one workflow file for one event.

        Args:
            fixture: of tests/fixtures/events; `event` is GitHub's name of it if that differs.
            environment: what the jobs' `environment:` comes to.
            change: edits the payload; alter: edits the workflow.
        """
        event = event or fixture
        payload = json.loads((EVENTS / f"{fixture}.json").read_text())
        change(payload)
        sha = self.git("rev-parse", "HEAD")
        asked = payload.get("pull_request") or {}
        foreign = asked and asked["head"]["repo"]["full_name"] != NAME
        ended = payload.get("workflow_run") or {}
        facts = {
            "event": event,
            "path": f".github/workflows/{workflow}",
            "head_sha": asked["head"]["sha"] if asked else ended.get("head_sha") or sha,
            "head_branch": asked["head"]["ref"] if asked else ref.rpartition("/")[2],
            "status": "in_progress",
        }
        if foreign:
            facts["head_repository"] = asked["head"]["repo"]
        number = int(self.api.store.put("runs", facts)["id"])
        folder = self.scratch / str(number)
        (folder / "artifacts").mkdir(parents=True)
        (folder / "event.json").write_text(json.dumps(payload))
        # YAML 1.1 reads the key `on` as true.
        read = yaml.safe_load((self.root / ".github/workflows" / workflow).read_text())
        content = {"on" if key is True else key: value for key, value in read.items()}
        alter(content)
        granted = self._grant(content, event, ref, sha, environment, bool(foreign), number)
        (folder / workflow).write_text(yaml.safe_dump(content, sort_keys=False))
        done = self._act(event, folder, workflow, ref, sha, number)
        for variables in granted:
            self.tokens.revoke(variables)
        result = Result(_jobs(done.stdout), _text(done.stdout) + done.stderr, folder / "artifacts", number)
        result.summaries = "\n".join(path.read_text() for path in sorted(folder.glob("summary-*")))
        success = "failure" not in result.jobs.values() and done.returncode == 0
        self.api.store.change(
            "runs", number, {"status": "completed", "conclusion": "success" if success else "failure"}
        )
        for place in sorted(path for path in (folder / "artifacts").iterdir() if path.is_dir()):
            files = {path.name: path.read_bytes() for path in place.iterdir()}
            self.api.store.artifact(number, place.name, files)
        self.runs.append(result)
        return result

    def _grant(
        self, content: dict[str, Any], event: str, ref: str, sha: str, environment: str, fork: bool, run: int
    ) -> list[dict[str, str]]:
        """Give each job what GitHub would; what has to be taken back later."""
        granted = []
        # act's schema is older than `queue`, and it ignores the rest: tests/contract/workflows holds it.
        content.pop("concurrency", None)
        for name, job in content["jobs"].items():
            job.pop("concurrency", None)
            rights = {key.replace("-", "_"): value for key, value in job.get("permissions", {}).items()}
            identity = rights.pop("id_token", "") == "write"
            if fork:
                rights = dict.fromkeys(rights, "read")
            token = self.api.store.token(rights)
            job.update(yaml.safe_load(yaml.safe_dump(job).replace("${{ github.token }}", token)))
            if identity and not fork:
                about = Job(
                    repository=NAME,
                    ref="refs/pull/12/merge" if event == "pull_request" else ref,
                    sha=sha,
                    event_name=event,
                    environment=environment if "environment" in job else "",
                    workflow=str(content["name"]),
                    workflow_path=f".github/workflows/{name}",
                    run_id=run,
                    run_number=run,
                )
                variables = self.tokens.grant(about)
                job["env"] = {**job.get("env", {}), **variables}
                granted.append(variables)
        return granted

    def _act(
        self, event: str, folder: Path, workflow: str, ref: str, sha: str, run: int
    ) -> subprocess.CompletedProcess[str]:
        pins = {
            line.split("uses:")[1].split("#")[0].strip()
            for path in [*(self.root / ".github").rglob("*.yml")]
            for line in path.read_text().splitlines()
            if "uses:" in line and "@" in line
        }
        stand_ins = [
            f"{pin}={STAND_INS / pin.partition('@')[0].rpartition('/')[2]}"
            for pin in sorted(pins)
            if (STAND_INS / pin.partition("@")[0].rpartition("/")[2]).is_dir()
        ]
        said = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "ARTIFACTS": str(folder / "artifacts"),
            "GITHUB_API_URL": self.api.url,
            "GITHUB_RUN_ID": str(run),
            "GITHUB_WORKFLOW_REF": f"{NAME}/.github/workflows/{workflow}@{ref}",
            "GITHUB_REPOSITORY": NAME,
            "GITHUB_REF": ref,
            "GITHUB_SHA": sha,
            "PIPELINE_LOCAL_RUNNER": "process",
            "DOCKER_HOST": os.environ["DOCKER_HOST"],
        }
        kept = {k: os.environ[k] for k in ("PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR") if k in os.environ}
        command = [
            str(BIN / "act"),
            event,
            *("--eventpath", str(folder / "event.json")),
            *("--workflows", str(folder / workflow)),
            *("--directory", str(self.root)),
            *("--platform", "ubuntu-24.04=-self-hosted"),
            *("--action-cache-path", str(self.scratch / "actions")),
            *("--defaultbranch", "main"),
            "--no-cache-server",
            # The environment, which is a link here, goes along.
            "--use-gitignore=false",
            "--action-offline-mode",
            "--json",
            *(f"--env={key}={value}" for key, value in said.items()),
            *(word for pair in stand_ins for word in ("--local-repository", pair)),
        ]
        process = subprocess.Popen(
            command,
            # A shell of its own, as a runner has: nothing of this process but where programs are.
            env=kept,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            # act's jobs are its children, and would go on without it.
            os.killpg(process.pid, signal.SIGTERM)
            out, err = process.communicate(timeout=30)
            err += f"\nended after {TIMEOUT_SECONDS} s"
        return subprocess.CompletedProcess(command, process.returncode, out, err)


def _events(output: str) -> Iterator[dict[str, Any]]:
    for line in output.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            yield told


def _jobs(output: str) -> dict[str, str]:
    """How each job ended, by its id; of a matrix the worst."""
    found: dict[str, str] = {}
    for told in _events(output):
        if "jobID" in told and "jobResult" in told:
            name = str(told["jobID"])
            found[name] = (
                "failure" if "failure" in (found.get(name), told["jobResult"]) else told["jobResult"]
            )
    return found


def _text(output: str) -> str:
    lines = [f"[{told.get('jobID', '')}] {told.get('msg', '')}".rstrip() for told in _events(output)]
    return "\n".join(lines) + "\n"


def repository(to: Path) -> Path:
    """A clone as a runner has it: the product, the workflows, and an environment that is up to date."""
    import hashlib

    copy_repository(to, only="iris")
    shutil.copytree(REPOSITORY / ".github", to / ".github")
    (to / "scripts").mkdir()
    shutil.copy2(REPOSITORY / "scripts/bootstrap", to / "scripts")
    for name in (".gitignore", "README.md"):
        shutil.copy2(REPOSITORY / name, to)
    venv = to.parent / "venv"
    venv.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    digest = hashlib.sha256(b"".join((to / name).read_bytes() for name in LOCKED)).hexdigest()
    (venv / ".locked").write_text(f"{digest}\n")
    # A link: .gitignore says `.venv/`, which act goes by when it copies the clone for a job.
    (to / ".venv").symlink_to(venv)
    return to


@contextmanager
def worlds(folder: Path) -> Iterator[World]:
    """One repository with all its services, and an account that trusts its workflows."""
    from pipeline.local.forge.github_store import Store
    from pipeline.local.oidc import Key
    from pipeline.local.paths import StatePaths

    home = copy_repository(folder / "home", only="iris")
    cli = Cli(home, {"PIPELINE_GITHUB_REPOSITORY": NAME})
    root = repository(folder / "clone")
    try:
        url = json.loads(cli("local", "up", "--json").stdout)["endpoint_url"]
        key = Key.at(StatePaths.of(home).oidc_key)
        store = Store(folder / "forge", NAME, repository_id=7, owner_id=70)
        with Endpoint(key) as tokens, GitHubApi(store) as api:
            world = World(root, cli, url, tokens, api, folder / "runs")
            world.git("init", "-q", "-b", "main")
            (root / ".git/info/exclude").write_text("/.venv\n")
            world.commit("first")
            world.git("remote", "add", "origin", f"https://github.com/{NAME}.git")
            yield world
    finally:
        cli("local", "down", code=None)
