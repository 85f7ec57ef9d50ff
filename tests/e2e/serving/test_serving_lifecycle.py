"""Birth, death and what comes between: loading, workers that die or hang, SIGTERM, process 1."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.e2e.serving.conftest import Server, Start, answers, post, read_all

SCRIPT = textwrap.dedent("""
    import os, time

    def model_fn(model_dir):
        time.sleep(float(os.environ.get("LOAD", "0")))
        return None

    def transform_fn(model, body, content_type, accept):
        if body == "die":
            os._exit(9)
        if body == "child":
            import subprocess
            subprocess.run(["sh", "-c", "sleep 0.2 & exit"])
        if body == "hang":
            import ctypes
            ctypes.PyDLL(None).sleep(60)  # without letting any other thread run
        if body[:1] == "s":
            time.sleep(float(body[1:]))
        return f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}", "text/plain"
""")
TWO = {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"}


def pid_of(server: Server) -> int:
    return int(server.invoke(b"pid")[2].split()[0])


def test_ping_says_503_until_the_model_is_loaded(start: Start) -> None:
    server = start(SCRIPT, LOAD="0.6")
    server.wait(lambda: server.ping() == 503, "the server before its model")
    assert server.invoke(b"a")[0] == 503
    server.ready()
    server.wait(lambda: server.events("ready"), "the line that says it is ready")
    assert server.events("ready")[0]["load_seconds"] >= 0.6


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("def model_fn(model_dir):\n    raise OSError('no such model')\npredict_fn = max", "no such model"),
        ("def model_fn(model_dir):\n    raise SystemExit('gave up')\npredict_fn = max", "gave up"),
        ("import no_such_module", "no_such_module"),
        ("def model_fn(", "SyntaxError"),
        ("x = 1", "neither predict_fn nor transform_fn"),
        ("def transform_fn(a, b): pass\ndef model_fn(d): pass", "takes 2 arguments; 4 are given"),
        ("def transform_fn(a, b, c, d): pass\npredict_fn = transform_fn\nmodel_fn = str", "together with"),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_it_with_the_reason(
    start: Start, script: str, reason: str
) -> None:
    server = start(script, **TWO)
    assert server.process.wait(15) == 1
    (event,) = server.events("failed")
    assert reason in event["reason"]


def test_a_script_in_the_model_goes_before_the_images(start: Start) -> None:
    own = "def transform_fn(model, body, content_type, accept):\n    return 'of the model'\nmodel_fn = str\n"
    server = start(SCRIPT, files={"code/inference.py": own}).ready()
    assert server.invoke(b"a")[2] == b"of the model"


def test_a_dead_worker_is_replaced_and_the_other_goes_on(start: Start) -> None:
    server = start(SCRIPT, **TWO).ready()
    before = {worker.pid for worker in server.workers()}
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    server.wait(lambda: server.events("worker_died"), "its death in the log")
    server.wait(lambda: server.ping() == 200, "a good /ping again")
    after = {worker.pid for worker in server.workers()}
    assert len(after) == 2 and victim not in after and after & before
    assert server.events("worker_died")[0]["signal"] == "SIGKILL"
    assert b"serving_worker_restarts_total 1\n" in server.request("GET", "/metrics")[2]


def test_ping_is_bad_while_a_worker_is_missing(start: Start) -> None:
    server = start(SCRIPT, LOAD="1", **TWO).ready()
    os.kill(server.workers()[0].pid, signal.SIGKILL)
    server.wait(lambda: server.ping() == 503, "a bad /ping", seconds=0.9)
    assert server.invoke(b"a")[0] == 200
    server.ready()


def test_a_script_that_ends_its_process_is_followed_by_another(start: Start) -> None:
    server = start(SCRIPT).ready()
    first = pid_of(server)
    with server.connect() as connection:
        connection.sendall(post(b"die"))
        assert read_all(connection) == b""
    server.wait(lambda: server.ping() == 200, "a good /ping again")
    assert pid_of(server) != first


def test_a_worker_that_dies_again_and_again_ends_the_container(start: Start) -> None:
    server = start(SCRIPT).ready()
    deadline = time.monotonic() + 40
    while server.process.poll() is None and time.monotonic() < deadline:
        for worker in server.workers():
            worker.kill()
        time.sleep(0.05)
    assert server.process.wait(1) == 1
    assert "times in a row" in server.events("failed")[-1]["reason"]


def test_an_invocation_that_takes_too_long_is_answered_and_its_worker_replaced(start: Start) -> None:
    server = start(SCRIPT, SAGEMAKER_MODEL_SERVER_TIMEOUT="0.7").ready()
    first = pid_of(server)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(server.invoke, b"s30")
        time.sleep(0.2)
        waiting = pool.submit(server.invoke, b"a")
        assert slow.result()[0] == 504
        assert waiting.result()[0] == 503
    server.wait(lambda: server.ping() == 200, "a good /ping again")
    assert pid_of(server) != first


def test_a_worker_that_hangs_as_a_whole_is_killed(start: Start) -> None:
    server = start(SCRIPT, SAGEMAKER_MODEL_SERVER_TIMEOUT="0.5").ready()
    with server.connect() as connection:
        connection.sendall(post(b"hang"))
        server.wait(lambda: server.events("hanging"), "the hanging worker in the log", seconds=20)
    server.wait(lambda: server.ping() == 200, "a good /ping again")


def test_threads_and_workers_stay_within_the_processors(start: Start) -> None:
    cores = len(os.sched_getaffinity(0))
    server = start(SCRIPT, SAGEMAKER_MODEL_SERVER_WORKERS="").ready()
    told = server.events("ready")[0]
    assert told["workers"] * told["threads"] <= cores
    assert int(server.invoke(b"a")[2].split()[1]) == told["threads"]


def test_sigterm_answers_what_runs_and_waits_and_closes_what_is_idle(start: Start) -> None:
    server = start(SCRIPT).ready()
    idle = server.connect()
    kept = server.connect()
    kept.sendall(post(b"a"))
    time.sleep(0.1)
    with ThreadPoolExecutor(3) as pool:
        found = [pool.submit(server.invoke, b"s0.4") for _ in range(3)]
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert read_all(idle) == b""
        assert [status for status, _ in answers(read_all(kept))] == [200]
        with pytest.raises(OSError):
            server.connect()
        assert [each.result()[0] for each in found] == [200] * 3
        assert all(each.result()[1]["connection"] == "close" for each in found[:1])
    assert server.process.wait(5) == 0
    assert server.events("stopped")
    idle.close()
    kept.close()


def test_the_grace_period_is_the_end(start: Start) -> None:
    server = start(SCRIPT, SERVING_GRACE_SECONDS="0.5").ready()
    with server.connect() as connection:
        connection.sendall(post(b"s20"))
        time.sleep(0.2)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 4
    assert server.events("cut_off")


def test_no_worker_outlives_its_supervisor(start: Start) -> None:
    server = start(SCRIPT, **TWO).ready()
    workers = server.workers()
    server.stop(signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def can_be_process_one() -> bool:
    probe = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    return (
        bool(shutil.which("unshare"))
        and subprocess.run(probe, capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not can_be_process_one(), reason="this machine gives no process namespace to this user")
def test_as_process_one_it_ends_by_sigterm_and_takes_the_orphans(start: Start) -> None:
    server = start(SCRIPT, wrap=("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")).ready()
    (first,) = psutil.Process(server.process.pid).children()
    assert first.children(), "workers below process 1"
    server.invoke(b"child")
    time.sleep(0.6)
    assert not [p for p in first.children(recursive=True) if p.status() == psutil.STATUS_ZOMBIE]
    first.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    assert server.events("stopped")


def test_a_taken_port_is_told(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = start(SCRIPT, SAGEMAKER_BIND_TO_PORT=str(taken.getsockname()[1]))
        assert server.process.wait(10) == 1
    assert "address already in use" in server.events("failed")[0]["reason"]
