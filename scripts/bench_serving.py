"""`make bench-serving`: our serving stack against the original's and the servers it was chosen from.

One LightGBM model of iris with 300 trees, the server on one processor, wrk on another, all stacks in turn
in each round, so that what else the machine does falls on all of them. Ratios are taken within a round; the
table shows their medians. Needs nginx and wrk (Debian: nginx-light, wrk); the two Python environments are
made here.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "bench_serving"))
from stacks import HERE, Running, Stack, stacks

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "pipeline" / "definitions" / "iris" / "sample"
CACHE = ROOT / ".pipeline" / "cache" / "bench-serving"
CONNECTIONS, BATCHES = (1, 8, 32), (100, 10_000)
Measures = dict[str, float]


def environments() -> Path:
    """The two environments, from their locks; made once for each content of a lock."""
    for name in ("original", "others"):
        lock, venv = HERE / f"{name}.lock", CACHE / name
        made = venv / "made-from.lock"
        if made.exists() and made.read_bytes() == lock.read_bytes():
            continue
        print(f"making the environment of {lock.name}", file=sys.stderr)
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "-q", "--clear", "--python", sys.executable, str(venv)], check=True)
        python = ["--python", str(venv / "bin" / "python")]
        subprocess.run([*uv, "pip", "sync", "-q", *python, "--require-hashes", str(lock)], check=True)
        shutil.copyfile(lock, made)
    return CACHE


def lay_out(scratch: Path) -> Path:
    """The programs as their images hold them."""
    programs = scratch / "programs"
    ignore = shutil.ignore_patterns("__pycache__", ".mypy_cache")
    for name, folder in (("iris", ROOT / "container" / "iris"), ("generic", HERE / "generic")):
        shutil.copytree(folder, programs / name, ignore=ignore)
        shutil.copytree(ROOT / "container" / "serving", programs / name / "serving", ignore=ignore)
    return programs


def train(programs: Path, venvs: Path, base: Path) -> None:
    """The model: 100 rounds of 3 classes, by the container's own program."""
    for name in ("train", "validation"):
        shutil.copytree(SAMPLE / name, base / "input" / "data" / name)
    config = base / "input" / "config"
    config.mkdir(parents=True)
    values = {"objective": "multiclass", "num_class": "3", "max_leaf_nodes": "5", "num_boost_round": "100"}
    (config / "hyperparameters.json").write_text(json.dumps({**values, "early_stopping_rounds": "0"}))
    variables = {**os.environ, "SAGEMAKER_BASE_DIR": str(base), "SM_NUM_CPUS": "1"}
    variables["PATH"] = f"{venvs / 'others' / 'bin'}:{variables['PATH']}"
    subprocess.run([programs / "iris" / "train"], env=variables, check=True, stdout=subprocess.DEVNULL)
    # All rounds, where the program keeps the best: the work is what counts here.
    made = base / "model" / "model.txt"
    checkpoint = base / "checkpoints" / "checkpoint.json"
    found = json.loads(checkpoint.read_text())
    made.write_text(next(v for v in found.values() if isinstance(v, str) and v.startswith("tree\n")))


def bodies() -> dict[int, bytes]:
    """CSV of 1, 100 and 10,000 rows, out of the held-out data."""
    with (SAMPLE / "test" / "iris.csv").open() as file:
        lines = [",".join(row[1:]) for row in csv.reader(file)]
    many = (lines * (10_000 // len(lines) + 1))[:10_000]
    return {count: ("\n".join(many[:count]) + "\n").encode() for count in (1, *BATCHES)}


def wrk(url: str, body: Path, connections: int, seconds: int, core: int) -> Measures:
    """requests a second, and p50 and p99 in ms. Any error ends the bench."""
    script = body.with_suffix(".lua")
    script.write_text(
        f'local f = io.open("{body}", "rb")\nwrk.method = "POST"\nwrk.body = f:read("*a")\n'
        'wrk.headers["Content-Type"] = "text/csv"\nwrk.headers["Accept"] = "text/csv"\n'
        "done = function(s, l, r) print(string.format("
        '"BENCH %d %d %f %f %d", s.requests, s.duration, l:percentile(50), l:percentile(99), '
        "s.errors.connect + s.errors.read + s.errors.write + s.errors.status + s.errors.timeout)) end\n"
    )
    command = [
        "taskset",
        "-c",
        str(core),
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
    ]
    done = subprocess.run(
        [*command, "-s", str(script), f"{url}/invocations"], capture_output=True, text=True, check=True
    )
    found = re.search(r"BENCH (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)", done.stdout)
    if not found or int(found[5]):
        raise SystemExit(f"bench: wrk saw errors\n{done.stdout}{done.stderr}")
    requests, micros = int(found[1]), int(found[2])
    return {
        "requests": requests,
        "rate": requests / micros * 1e6,
        "p50": float(found[3]) / 1e3,
        "p99": float(found[4]) / 1e3,
    }


def answer_to(url: str, body: bytes) -> list[tuple[str, *tuple[float, ...]]]:
    """Label and probabilities of each row."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.request("POST", "/invocations", body, {"Content-Type": "text/csv", "Accept": "text/csv"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"bench: {answer.status} {text[:500]}")
    rows = [line.split(",") for line in text.splitlines()]
    return [(label, *map(float, numbers)) for label, *numbers in rows]


class Bench:
    """One run of the bench."""

    def __init__(self, scratch: Path, seconds: int, cores: tuple[int, int]) -> None:
        self.scratch, self.seconds, self.cores = scratch, seconds, cores
        self.venvs = environments()
        self.programs = lay_out(scratch)
        self.base = scratch / "ml"
        train(self.programs, self.venvs, self.base)
        self.bodies = bodies()
        self.files = {}
        for count, body in self.bodies.items():
            self.files[count] = scratch / f"rows-{count}.csv"
            self.files[count].write_bytes(body)
        self.expected: list[tuple[str, *tuple[float, ...]]] = []

    def start(self, stack: Stack, workers: int = 1) -> Running:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        return Running(
            stack, self.venvs, self.programs, self.base, self.scratch, port, workers, self.cores[0]
        )

    def measure(self, stack: Stack) -> Measures:
        """All figures of one stack in one round."""
        running = self.start(stack)
        try:
            found = {"start": running.seconds_to_ping}
            told = answer_to(running.url, self.bodies[10_000])
            self.expected = self.expected or told
            # To the last bit, but for the one that leaves the probabilities out.
            if told not in (self.expected, [row[:1] for row in self.expected]):
                raise SystemExit(f"bench: {stack.name} gives another answer than the original")
            wrk(running.url, self.files[1], 8, 1, self.cores[1])  # warm
            for connections in CONNECTIONS:
                found |= self.load(running, 1, connections)
            found["memory"], found["largest"] = running.memory()
            for rows in BATCHES:
                found |= self.load(running, rows, 1)
        finally:
            running.stop()
        return found

    def load(self, running: Running, rows: int, connections: int) -> Measures:
        """One measurement: `<figure> <rows>@<connections>`; cpu in us a request, of all its processes."""
        before = running.cpu_seconds()
        one = wrk(running.url, self.files[rows], connections, self.seconds, self.cores[1])
        one["cpu"] = (running.cpu_seconds() - before) / one["requests"] * 1e6
        return {f"{key} {rows}@{connections}": value for key, value in one.items()}

    def extra_worker(self, stack: Stack) -> float:
        """MB that a second worker adds."""
        sizes = []
        for workers in (1, 2):
            running = self.start(stack, workers)
            try:
                for _ in range(20):
                    answer_to(running.url, self.bodies[100])
                sizes.append(running.memory()[0])
            finally:
                running.stop()
        return sizes[1] - sizes[0]


def table(all_stacks: list[Stack], rounds: dict[str, list[Measures]], extra: dict[str, float]) -> str:
    """Markdown: ratios to the original within a round, then medians."""
    first = rounds[all_stacks[0].name]

    def ratio(name: str, key: str, *, inverse: bool = False) -> str:
        each = [mine[key] / theirs[key] for mine, theirs in zip(rounds[name], first, strict=True)]
        each = [1 / value for value in each] if inverse else each
        value = statistics.median(each)
        return f"{value:.2f}" if value < 10 else f"{value:.0f}"

    def median(name: str, key: str) -> float:
        return statistics.median(each[key] for each in rounds[name])

    lines = [
        "| Stack | x requests/s at 1 / 8 / 32 | x requests a CPU second | CPU us a request "
        "| p50 / p99 ms at 32 "
        "| x at 100 / 10,000 rows | x a CPU second there | MB, largest process | MB a further worker "
        "| s to first /ping |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for stack in all_stacks:
        name = stack.name
        cells = [
            name,
            " / ".join(ratio(name, f"rate 1@{c}") for c in CONNECTIONS),
            ratio(name, "cpu 1@32", inverse=True),
            f"{median(name, 'cpu 1@32'):.0f}",
            f"{median(name, 'p50 1@32'):.2f} / {median(name, 'p99 1@32'):.2f}",
            " / ".join(ratio(name, f"rate {rows}@1") for rows in BATCHES),
            " / ".join(ratio(name, f"cpu {rows}@1", inverse=True) for rows in BATCHES),
            f"{median(name, 'memory'):.0f}, {median(name, 'largest'):.0f}",
            f"{extra[name]:.0f}" if name in extra else "-",
            f"{median(name, 'start'):.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--only", default="", help="a part of the names of the stacks to measure")
    parser.add_argument("--nice", type=int, default=0, help="of all that is measured; below 0 as root alone")
    given = parser.parse_args()
    if given.nice:
        os.nice(given.nice)
    missing = [
        name
        for name in ("nginx", "wrk", "taskset")
        if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    ]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if missing or len(cores) < 2:
        print(
            f"bench: needs {', '.join(missing) or 'two processors'}; apt-get install nginx-light wrk",
            file=sys.stderr,
        )
        return 2
    rounds: dict[str, list[Measures]] = defaultdict(list)
    extra: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as folder:
        bench = Bench(Path(folder), given.seconds, (cores[0], cores[1]))
        chosen = stacks(bench.programs)
        chosen = [each for at, each in enumerate(chosen) if not at or given.only in each.name]
        for number in range(given.rounds):
            for stack in chosen:
                print(f"round {number + 1} of {given.rounds}: {stack.name}", file=sys.stderr)
                rounds[stack.name].append(bench.measure(stack))
        for stack in chosen:
            if stack.several:
                extra[stack.name] = bench.extra_worker(stack)
    reference = statistics.median(each["rate 1@32"] for each in rounds[chosen[0].name])
    print(table(chosen, rounds, extra))
    print(f"\n{given.rounds} rounds of {given.seconds} s; the original: {reference:.0f} requests/s at 32.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
