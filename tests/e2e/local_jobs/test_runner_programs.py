"""The process runner with real programs, in every way this machine can give them /opt/ml."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.local.runner import CannotStart, Outcome, Program, StopRequest, environment, mount, registry
from pipeline.local.runner.environment import EnvironmentBroken
from pipeline.local.runner.job import run_job
from pipeline.local.runner.lines import LONGEST_LINE
from pipeline.local.runner.process import ProcessRunner, read_lines
from pipeline.local.runner.server import start_server
from tests.conftest import REPOSITORY

SHAPES = (mount.NAMESPACE, mount.USER_NAMESPACE, mount.MAPPED)


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state folder for all: the environment of an image without requirements is made once."""
    return tmp_path_factory.mktemp("runner-state")


@pytest.fixture(params=SHAPES)
def runner(request: pytest.FixtureRequest, state: Path) -> Iterator[ProcessRunner]:
    shape = request.param
    if shape != mount.MAPPED and not mount._works(shape):
        pytest.skip(f"this machine gives no {shape}")
    made = ProcessRunner(state, shape)
    before = registry._runner, registry._records
    registry.use(made, state / "processes")
    yield made
    assert list((state / "processes").glob("*.json")) == []
    registry._runner, registry._records = before


class Ran:
    """What became of a program: its outcome and its lines."""

    def __init__(self, outcome: Outcome, lines: list[str], base: Path) -> None:
        self.outcome, self.lines, self.base = outcome, lines, base
        self.text = "\n".join(lines)


def token(tmp_path: Path) -> str:
    """A word of this test's own, to know its processes by: others may run the same test."""
    return f"token-{tmp_path}"


def image(folder: Path, body: str, name: str = "train", head: str = "#!/usr/bin/env python3\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    body = textwrap.dedent(body).replace("TOKEN", repr(token(folder.parent)))
    path.write_text(head + body)
    path.chmod(0o755)
    return folder


def program(tmp_path: Path, folder: Path, **more: Any) -> Program:
    base = tmp_path / "ml"
    (base / "model").mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {
        "name": "a test's program",
        "command": ("train",),
        "environment": {},
        "image": folder,
        "base": base,
        "scratch": tmp_path / "scratch",
    }
    return Program(**(about | more))


def run(
    runner: ProcessRunner, given: Program, on_line: Callable[[str], None] | None = None, **how: Any
) -> Ran:
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        if on_line:
            on_line(line)

    return Ran(run_job(given, log, runner=runner, **how), lines, given.base)


FIND = """
import os, pathlib
ML = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
"""


def test_a_program_sees_opt_ml_and_nothing_of_the_machine_changes(
    runner: ProcessRunner, tmp_path: Path
) -> None:
    os.environ["NOT_FOR_PROGRAMS"] = "1"
    mounts = Path("/proc/self/mountinfo").read_text()
    folder = image(
        tmp_path / "image",
        FIND
        + """
import sys
(ML / "model" / "made").write_text("by the program")
print(os.getcwd(), os.environ["MINE"], os.environ.get("NOT_FOR_PROGRAMS"), os.environ["WHERE"])
print(sys.prefix != sys.base_prefix)
print("to stderr", file=sys.stderr)
try:
    pathlib.Path(os.getcwd(), "new").write_text("x")
    print("image is writable")
except OSError as error:
    print("image:", error.strerror)
""",
    )
    given = program(tmp_path, folder, environment={"MINE": "yes", "WHERE": "/opt/ml/model"})
    ran = run(runner, given)
    assert ran.outcome.exit_code == 0, ran.text
    assert (given.base / "model" / "made").read_text() == "by the program"
    if runner.isolation == mount.MAPPED:
        assert ran.lines[0] == f"{folder} yes None {given.base}/model"
    else:
        assert ran.lines[0] == "/opt/program yes None /opt/ml/model"
        assert ran.lines[3] == "image: Read-only file system"
        assert not (folder / "new").exists()
    assert ran.lines[1] == "True"
    assert ran.lines[2] == "to stderr"
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert not Path("/opt/ml").exists() or runner.isolation == mount.MAPPED


@pytest.mark.parametrize(("ending", "code"), [("raise SystemExit(3)", 3), ("os.kill(os.getpid(), 9)", 137)])
def test_the_exit_code_is_the_programs(runner: ProcessRunner, tmp_path: Path, ending: str, code: int) -> None:
    ran = run(runner, program(tmp_path, image(tmp_path / "image", f"import os\n{ending}\n")))
    assert (ran.outcome.exit_code, ran.outcome.because) == (code, "exited")


def test_a_program_that_is_not_there_or_not_executable(runner: ProcessRunner, tmp_path: Path) -> None:
    folder = image(tmp_path / "image", "")
    ran = run(runner, program(tmp_path, folder, command=("nothing",)))
    assert (ran.outcome.exit_code, ran.lines) == (
        127,
        ['exec: "nothing": executable file not found in $PATH'],
    )
    (folder / "train").chmod(0o644)
    ran = run(runner, program(tmp_path, folder, command=("/opt/program/train",), entrypoint=True))
    assert ran.outcome.exit_code == 126, ran.text
    with pytest.raises(CannotStart, match="No command specified"):
        run(runner, program(tmp_path, folder, command=()))


def test_sigterm_lets_a_program_save_and_ends_one_that_does_not_listen(
    runner: ProcessRunner, tmp_path: Path
) -> None:
    saves = (
        FIND
        + """
import signal, sys, time
def save(*_):
    (ML / "model" / "saved").write_text("in time")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(60)
"""
    )
    stop = StopRequest()
    given = program(tmp_path, image(tmp_path / "saves", saves))
    ran = run(runner, given, on_line=lambda _: stop.ask(), stop=stop, grace=30)
    assert (ran.outcome.exit_code, ran.outcome.because) == (0, "stopped")
    assert (given.base / "model" / "saved").read_text() == "in time"

    ran = run(
        runner, program(tmp_path, image(tmp_path / "plain", "import time\ntime.sleep(60)\n")), max_seconds=0.3
    )
    assert (ran.outcome.exit_code, ran.outcome.because) == (143, "timeout")
    assert ran.outcome.seconds < 5


def test_sigkill_ends_one_that_ignores_sigterm_and_all_it_started(
    runner: ProcessRunner, tmp_path: Path
) -> None:
    stubborn = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", TOKEN], start_new_session=True)
print("ready", flush=True)
time.sleep(60)
"""
    stop = StopRequest()
    given = program(tmp_path, image(tmp_path / "image", stubborn))
    ran = run(runner, given, on_line=lambda _: stop.ask(), stop=stop, grace=0.3)
    assert (ran.outcome.exit_code, ran.outcome.because) == (137, "stopped")
    assert 0.3 <= ran.outcome.seconds < 6
    assert left(token(tmp_path)) == []


def test_a_daemon_that_a_program_leaves_behind_ends_with_it(runner: ProcessRunner, tmp_path: Path) -> None:
    body = """
import os, subprocess, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(60)", TOKEN])
    os._exit(0)
os.wait()
print("done")
"""
    ran = run(runner, program(tmp_path, image(tmp_path / "image", body)))
    assert (ran.outcome.exit_code, ran.lines) == (0, ["done"])
    assert left(token(tmp_path)) == []


def test_no_program_outlives_a_killed_server(runner: ProcessRunner, tmp_path: Path) -> None:
    folder = image(
        tmp_path / "image",
        """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", TOKEN])
print("ready", flush=True)
time.sleep(60)
""",
    )
    server = f"""
from pathlib import Path
from pipeline.local.runner import Program, registry
from pipeline.local.runner.job import run_job
from pipeline.local.runner.process import ProcessRunner
state = Path({str(tmp_path / "state")!r})
runner = ProcessRunner(state, {runner.isolation!r})
registry.use(runner, state / "processes")
base = Path({str(tmp_path / "ml")!r})
base.mkdir()
program = Program("x", Path({str(folder)!r}), ("train",), base, base.parent / "scratch", {{}})
run_job(program, lambda line: print(line, flush=True))
"""
    process = subprocess.Popen([sys.executable, "-c", server], stdout=subprocess.PIPE, cwd=REPOSITORY)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert len(left(token(tmp_path))) >= 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    until(lambda: left(token(tmp_path)) == [] and left(str(folder)) == [])


def test_without_network_nobody_is_reached(runner: ProcessRunner, tmp_path: Path) -> None:
    if not runner.can_isolate_network():
        pytest.skip("this kernel gives no network namespaces")
    with listener() as port:
        body = f"""
import socket
for attempt in ("127.0.0.1",):
    try:
        socket.create_connection((attempt, {port}), 2).close()
        print("reached")
    except OSError as error:
        print("not reached")
own = socket.create_server(("127.0.0.1", 0))
socket.create_connection(own.getsockname(), 2).close()
print("own loopback works")
"""
        folder = image(tmp_path / "image", body)
        assert run(runner, program(tmp_path, folder)).lines[0] == "reached"
        ran = run(runner, program(tmp_path, folder, network=False))
        assert ran.lines == ["not reached", "own loopback works"]


def test_a_server_answers_reads_its_model_and_ends(runner: ProcessRunner, tmp_path: Path) -> None:
    folder = image(
        tmp_path / "image",
        FIND
        + """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            (ML / "model" / "new").write_text("x")
            what = b"writable "
        except OSError:
            what = b"read-only "
        self.send_response(200)
        self.end_headers()
        self.wfile.write(what + (ML / "model" / "weights").read_bytes())
print("serving", flush=True)
HTTPServer((os.environ["HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
""",
        name="serve",
    )
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("0.5")
    with listener() as port:
        free = port
    lines: list[str] = []
    served = threading.Event()
    server = start_server(
        folder, model, {}, free, lambda line: (lines.append(line), served.set())[0], runner=runner
    )
    assert served.wait(10)
    answer = until(lambda: answered(free))
    assert answer.endswith("0.5")
    assert answer.startswith("read-only") or runner.isolation == mount.MAPPED
    assert server.alive()
    assert server.exit_code is None
    assert server.terminate(5) == 143
    assert not server.alive()
    assert lines[0] == "serving"


def test_lines_are_cut_at_newlines_and_at_the_largest_event() -> None:
    source, sink = os.pipe()
    lines: list[str] = []

    def feed() -> None:
        with os.fdopen(sink, "wb") as out:
            out.write(b"one\r\ntwo\n\n" + b"x" * (LONGEST_LINE + 10) + b"\n\xff last")

    writer = threading.Thread(target=feed)
    writer.start()
    with os.fdopen(source, "rb") as stream:
        read_lines(stream, lines.append)
    writer.join()
    assert lines[:3] == ["one", "two", ""]
    assert "".join(lines[3:-1]) == "x" * (LONGEST_LINE + 10)
    assert max(map(len, lines)) <= LONGEST_LINE
    assert lines[-1] == "\ufffd last"


def test_an_environment_is_built_once_even_by_two_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image(tmp_path / "image", "")
    built: list[Path] = []

    def build(_image: Path, target: Path) -> None:
        built.append(target)
        time.sleep(0.2)
        target.mkdir()

    monkeypatch.setattr(environment, "_build", build)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(environment.ensure(folder, tmp_path / "envs")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert set(found) == {built[0]}
    # half built (no marker): built again; another lock: another environment
    (built[0] / environment.MARKER).unlink()
    environment.ensure(folder, tmp_path / "envs")
    assert len(built) == 2
    (folder / environment.LOCK).write_text("other==1\n")
    assert environment.ensure(folder, tmp_path / "envs") != built[0]


def test_an_environment_that_cannot_be_built_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    folder = image(tmp_path / "image", "")
    (folder / environment.LOCK).write_text("--no-index\nno-such-distribution==1.0\n")
    with pytest.raises(EnvironmentBroken, match="no-such-distribution"):
        environment.ensure(folder, tmp_path / "envs")
    assert [path.suffix for path in (tmp_path / "envs").iterdir()] == [".lock"]


def left(text: str) -> list[int]:
    """Processes whose command line holds `text`."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.pid == os.getpid() or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        if any(text in word for word in process.info["cmdline"] or ()):
            found.append(process.pid)
    return found


def until(ready: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := ready()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
    return value


def answered(port: int) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


class listener:
    """A server on a free port of 127.0.0.1, for as long as the block lasts."""

    def __enter__(self) -> int:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return int(self._server.server_address[1])

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
