"""`pipeline container test` on real programs: the good one passes, each broken one fails just its clause."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from pipeline import conformance
from pipeline.cli._processes import ProcessLauncher, configure
from pipeline.conformance import Channel, Request, Result, Subject, Waits, clauses
from pipeline.local.runner import mount
from tests.conftest import REPOSITORY, Cli

FIXTURES = REPOSITORY / "tests" / "fixtures" / "containers"
BROKEN = sorted(path for path in (FIXTURES / "broken").iterdir() if path.is_dir())
# Long enough for a busy machine, where a fixture does not break just that.
WAITS = Waits(train=30, start=10, ping=2, invoke=10, stop=4, settle=1.5, prompt=1)
TRAIN, SERVE = ("CT001", "CT1", "CT301"), ("CT002", "CT2", "CT302", "CT303", "CT304", "CT4")

pytestmark = pytest.mark.skipif(
    mount.isolation() != mount.NAMESPACE, reason="needs namespaces, which this machine gives to root only"
)


class _Download(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def download() -> Iterator[str]:
    """A server on this machine's loopback interface, which a program without a network cannot reach."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Download) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state folder for all: their environment (no requirements) is made once."""
    return tmp_path_factory.mktemp("conformance")


def examine(folder: Path, state: Path, download: str, **more: object) -> dict[str, Result]:
    """Results by clause id; what `more` says replaces a part of the subject, or `only`."""
    only = more.pop("only", ())
    about = {
        "name": folder.name,
        "channels": {"train": Channel(FIXTURES / "data" / "train", "text/csv")},
        "hyperparameters": {"digits": "2"},
        "request": Request((FIXTURES / "data" / "request.csv").read_bytes(), "text/csv", "text/csv"),
        "environment": {"DOWNLOAD_URL": download},
    }
    launcher = ProcessLauncher(folder, state)
    try:
        subject = Subject(**(about | more))  # type: ignore[arg-type]
        results = conformance.examine(subject, launcher, configure, WAITS, only=only)  # type: ignore[arg-type]
    finally:
        launcher.close()
    return {result.clause.id: result for result in results}


def broken(folder: Path, to: Path) -> Path:
    """The good container, with the broken program in place of its own."""
    shutil.copytree(FIXTURES / "good", to)
    for source in folder.iterdir():
        shutil.copy(source, to / source.name)
    return to


@cache
def clause_of(folder: Path) -> str:
    """The clause that a broken fixture says it breaks."""
    (program,) = (path for path in folder.iterdir() if path.is_file())
    found = re.search(r'"""(CT\d{3}): ', program.read_text())
    assert found, program
    return found[1]


def a_model(folder: Path) -> Path:
    """What the good container's training would have left."""
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps({"mean": 3.0}))
    return folder


def statuses(results: dict[str, Result], status: str) -> dict[str, str]:
    return {id: result.seen for id, result in results.items() if result.status == status}


def test_the_good_container_passes_every_clause(state: Path, download: str) -> None:
    results = examine(FIXTURES / "good", state, download)
    assert statuses(results, "failed") == {}
    assert statuses(results, "skipped") == {}
    assert sorted(results) == [each.id for each in clauses()]


def test_every_clause_has_a_container_that_breaks_it() -> None:
    assert {clause_of(folder) for folder in BROKEN} == {each.id for each in clauses()}


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, state: Path, download: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, Future[dict[str, Result]]]]:
    """The results of every broken container that a selected test asks for; a few at a time: most wait."""
    work = tmp_path_factory.mktemp("broken")
    wanted = [
        item.callspec.params.get("folder") for item in request.session.items if hasattr(item, "callspec")
    ]

    def look(folder: Path) -> dict[str, Result]:
        image = broken(folder, work / folder.name)
        if (folder / "train").exists():
            return examine(image, state, download, only=TRAIN)
        return examine(image, state, download, only=SERVE, model=a_model(work / f"{folder.name}-model"))

    with ThreadPoolExecutor(3) as pool:
        yield {folder: pool.submit(look, folder) for folder in BROKEN if folder in wanted}


@pytest.mark.parametrize("folder", BROKEN, ids=lambda folder: folder.name)
def test_a_broken_container_fails_its_clause_and_no_other(
    folder: Path, outcomes: dict[Path, Future[dict[str, Result]]]
) -> None:
    results = outcomes[folder].result()
    assert set(statuses(results, "failed")) == {clause_of(folder)}, statuses(results, "failed")
    assert results[clause_of(folder)].fix


def test_nothing_is_left_behind(state: Path, download: str, tmp_path: Path) -> None:
    # Tests before this one may have left an ended process that nobody has waited for. By pid: what psutil
    # compares besides, the start time, moves when the machine's clock is corrected.
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    examine(
        broken(FIXTURES / "broken" / "ignores_sigterm", tmp_path / "image"), state, download, only=("CT4",)
    )
    after = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    _, left = psutil.wait_procs(after, timeout=5)  # killed, on a busy machine, is not gone at once
    assert left == []
    assert list(state.glob("conformance-processes/*.json")) == []
    assert not list((state / "running").glob("*"))


def test_the_command_line_passes_the_repositorys_own_container() -> None:
    done = Cli(REPOSITORY)("container", "test", "iris", "--json", "--strict")
    answer = json.loads(done.stdout)
    assert answer["conforms"] is True
    assert {each["status"] for each in answer["clauses"]} == {"passed"}


def test_the_command_line_fails_and_says_how_to_mend_it(tmp_path: Path) -> None:
    image = broken(FIXTURES / "broken" / "small_body_limit", tmp_path / "image")
    request = str(FIXTURES / "data" / "request.csv")
    given = ["--model", str(a_model(tmp_path / "model")), "--request", request, "--content-type", "text/csv"]
    done = Cli(tmp_path)("container", "test", str(image), *given, "--only", "CT216", code=1)
    assert "CT216" in done.stdout
    assert "413" in done.stdout
    assert "fix:" in done.stdout
    assert "https://docs.aws.amazon.com/" in done.stdout


def test_a_should_fails_the_command_line_only_when_strict(tmp_path: Path) -> None:
    image = broken(FIXTURES / "broken" / "trains_in_silence", tmp_path / "image")
    given = [
        "--channel",
        f"train={FIXTURES / 'data' / 'train'}",
        "--hyperparameter",
        "digits=1",
        "--only",
        "CT109",
    ]
    Cli(tmp_path)("container", "test", str(image), *given, code=0)
    Cli(tmp_path)("container", "test", str(image), *given, "--strict", code=1)


def test_a_test_that_could_look_at_nothing_is_no_success(tmp_path: Path) -> None:
    done = Cli(tmp_path)("container", "test", str(FIXTURES / "good"), code=2)
    assert "--channel" in done.stderr
