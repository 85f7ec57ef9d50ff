"""The servers that are compared: how each is started, on one port, on one processor."""

from __future__ import annotations

import grp
import os
import pwd
import signal
import string
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
NUMPY, SCORER, PROGRAM = "numpy_apps", "scorer_apps", "BENCH_PROGRAM"


@dataclass
class Stack:
    """One server. commands: {port} {folder} {workers} are filled in; several: it can have more workers."""

    name: str
    environment: str
    commands: list[list[str]]
    several: bool = True
    variables: dict[str, str] = field(default_factory=dict)


def stacks(programs: Path) -> list[Stack]:
    """All that are compared, the original first. programs: holds `iris` and `generic` as images hold them."""
    gunicorn = ["gunicorn", "--timeout", "60", "-k", "gevent", "-w", "{workers}"]
    reference = [
        [*gunicorn, "-b", "unix:{folder}/gunicorn.sock", "original_app:app"],
        ["nginx", "-c", "{folder}/nginx.conf"],
    ]
    where = ["--host", "127.0.0.1", "--port", "{port}", "--workers", "{workers}", "--log-level", "warning"]
    uvicorn = ["uvicorn", "--no-access-log", *where]
    granian = ["granian", "--interface", "rsgi", "--no-ws", *where]
    ours = {"SERVING_ACCESS_LOG": "all"}
    return [
        Stack("original: nginx + gunicorn gevent + Flask + pandas", "original", reference),
        Stack(
            "the same, labels alone in its answers", "original", reference, True, {"BENCH_LABELS_ONLY": "1"}
        ),
        Stack(
            "gunicorn gevent, bare WSGI, NumPy",
            "others",
            [[*gunicorn, "-b", "127.0.0.1:{port}", f"{NUMPY}:wsgi"]],
        ),
        Stack("uvicorn, raw ASGI, NumPy", "others", [[*uvicorn, f"{NUMPY}:asgi"]]),
        Stack("granian, RSGI, NumPy", "others", [[*granian, f"{NUMPY}:rsgi"]]),
        Stack(
            "ours, plug-in functions, NumPy", "others", [[str(programs / "generic" / "serve")]], True, ours
        ),
        Stack("ours, iris as shipped", "others", [[str(programs / "iris" / "serve")]], True, ours),
        Stack("uvicorn, raw ASGI, iris's scorer", "others", [[*uvicorn, f"{SCORER}:asgi"]]),
        Stack("granian, RSGI, iris's scorer", "others", [[*granian, f"{SCORER}:rsgi"]]),
        Stack("bare protocol, no contract (limit)", "others", [["python3", str(HERE / "bare.py")]], False),
    ]


class Running:
    """A started stack; `stop` ends all of its processes."""

    def __init__(
        self,
        stack: Stack,
        environments: Path,
        programs: Path,
        base: Path,
        scratch: Path,
        port: int,
        workers: int,
        core: int,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        folder = scratch / f"run-{time.monotonic_ns()}"
        folder.mkdir()
        known = {"port": str(port), "folder": str(folder), "workers": str(workers)}
        template = string.Template((HERE / "nginx.conf").read_text())
        (folder / "nginx.conf").write_text(
            template.substitute(
                known, user=pwd.getpwuid(os.geteuid()).pw_name, group=grp.getgrgid(os.getegid()).gr_name
            )
        )
        variables = {
            **os.environ,
            "PATH": f"{environments / stack.environment / 'bin'}:{os.environ['PATH']}:/usr/sbin",
            "PYTHONPATH": str(HERE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(folder),
            "OMP_NUM_THREADS": "1",
            "HOST": "127.0.0.1",
            "SAGEMAKER_BASE_DIR": str(base),
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers),
            PROGRAM: str(programs / "iris"),
            **stack.variables,
        }
        self.log = (folder / "log").open("wb")
        self.processes: list[subprocess.Popen[bytes]] = []
        started = time.perf_counter()
        for command in stack.commands:
            filled = [word.format(**known) for word in command]
            self.processes.append(
                subprocess.Popen(
                    ["taskset", "-c", str(core), *filled],
                    cwd=folder,
                    env=variables,
                    stdout=self.log,
                    stderr=self.log,
                    start_new_session=True,
                )
            )
        self.seconds_to_ping = self._wait(started)

    def _wait(self, started: float) -> float:
        while time.perf_counter() - started < 60:
            try:
                with urllib.request.urlopen(f"{self.url}/ping", timeout=5) as answer:
                    if answer.status == 200:
                        return time.perf_counter() - started
            except (urllib.error.URLError, OSError):
                time.sleep(0.005)
            if any(process.poll() is not None for process in self.processes):
                break
        self.stop()
        raise SystemExit(f"bench: it did not start; its log:\n{Path(self.log.name).read_text()[-2000:]}")

    def pids(self) -> list[int]:
        """All processes of the stack."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except OSError:
                    continue
                children.setdefault(parent, []).append(int(entry.name))
        found = [process.pid for process in self.processes]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_seconds(self) -> float:
        """Of all its processes since they started."""
        ticks = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self) -> tuple[float, float]:
        """MB: of all processes with shared pages counted once, and resident in the largest."""
        total, largest = 0.0, 0.0
        for pid in self.pids():
            values = dict(
                line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
            )
            total += int(values["Pss"].split()[0]) / 1024
            largest = max(largest, int(values["Rss"].split()[0]) / 1024)
        return total, largest

    def stop(self) -> None:
        """SIGTERM, then SIGKILL, to the groups this made."""
        for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            for process in self.processes:
                if process.poll() is None:
                    os.killpg(process.pid, number)
            for process in self.processes:
                try:
                    process.wait(seconds)
                except subprocess.TimeoutExpired:
                    continue
        self.log.close()
