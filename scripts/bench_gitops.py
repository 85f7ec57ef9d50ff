"""`make bench-gitops`: seconds from `git push` to the first line, to the plan, to serving, on this machine.

A clone of this repository's HEAD with a local remote of its own; everything is made and taken away here. The
caches of the user are used, as they are at the second push of anybody. Quote ratios to the bare training:
machines differ.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench import bare_training

ROOT = Path(__file__).resolve().parent.parent
PIPELINE = [sys.executable, "-m", "pipeline"]
SETTINGS = "pipeline/definitions/iris/settings.toml"
rows: list[tuple[str, float]] = []


def report(name: str, seconds: float) -> None:
    rows.append((name, seconds))
    print(f"  {name:<66} {seconds:6.1f} s", flush=True)


def run(root: Path, *command: str | Path) -> str:
    """A command's output; the bench stops if it fails."""
    done = subprocess.run([*command], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def pipeline(root: Path, *arguments: str) -> str:
    return run(root, *PIPELINE, *arguments)


def push(root: Path, *arguments: str, until: dict[str, Callable[[str], bool]]) -> dict[str, float]:
    """Seconds from the start of `git push local` to the first line that each of `until` is true of."""
    began, found = time.monotonic(), {}
    process = subprocess.Popen(
        ["git", "push", "local", *arguments],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        for name, is_it in until.items():
            if name not in found and is_it(line):
                found[name] = time.monotonic() - began
    if process.wait() or set(until) - set(found):
        raise SystemExit(f"bench: git push local {' '.join(arguments)}\n{''.join(said)}")
    return {**found, "end": time.monotonic() - began}


def first(line: str) -> bool:
    return "started" in line


def serves(line: str) -> bool:
    return "ok WatchEndpoint" in line or "ok SmokeTest" in line


def edit(root: Path, old: str, new: str, message: str) -> None:
    file = root / SETTINGS
    text = file.read_text()
    if old not in text:
        raise SystemExit(f"bench: {old!r} is not in {SETTINGS}")
    file.write_text(text.replace(old, new))
    run(root, "git", "commit", "-qam", message)


def measure(root: Path) -> None:
    pipeline(root, "local", "remote")
    for environment in ("staging", "production"):
        pipeline(root, "data", "iris", "put", "-e", environment)
    found = push(root, "main", until={"first": first, "serves": serves})
    report("push to the first line", found["first"])
    report("first push to serving (everything is made)", found["serves"])

    run(root, "git", "checkout", "-qb", "faster")
    edit(root, "learning_rate = 0.1", "learning_rate = 0.2", "Learn faster")
    found = push(root, "HEAD:refs/for/main", until={"plan": lambda line: "Digest" in line})
    report("pull request to its first plan (production)", found["plan"])
    report("pull request to run on sample data, comment and required check", found["end"])

    began = time.monotonic()
    pipeline(root, "local", "remote", "pr", "merge", "1")
    report("merge to the end: applied, trained, gated, served", time.monotonic() - began)
    run(root, "git", "checkout", "-q", "main")
    run(root, "git", "pull", "-q", "local", "main")

    run(root, "git", "tag", "-a", "v0.1.0", "-m", "v0.1.0")
    stop = threading.Event()

    def reviewer() -> None:
        while not stop.wait(0.2):
            asked = [*PIPELINE, "local", "remote", "approve", "production"]
            if subprocess.run(asked, cwd=root, capture_output=True, check=False).returncode == 0:
                return

    thread = threading.Thread(target=reviewer)
    thread.start()
    found = push(root, "v0.1.0", until={"serves": lambda line: "is served in production" in line})
    stop.set()
    thread.join()
    report("tag to production serving the same bytes, approved at once", found["serves"])

    run(root, "git", "revert", "--no-edit", "-m", "1", "HEAD")
    found = push(root, "main", until={"serves": serves})
    report("revert to the earlier model serving, without a training job", found["serves"])

    (root / "docs" / "page.md").write_text("words\n")
    run(root, "git", "add", "-A")
    run(root, "git", "commit", "-qm", "Docs")
    report("push that concerns nobody, to its end", push(root, "main", until={"first": first})["end"])


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="pipeline-bench-"))
    root = folder / "repository"
    os.environ["PIPELINE_LOCAL_RUNNER"] = "process"
    run(folder, "git", "clone", "-q", str(ROOT), str(root))
    run(root, "git", "checkout", "-q", "-B", "main")
    for key, value in {"user.name": "bench", "user.email": "bench@localhost"}.items():
        run(root, "git", "config", key, value)
    print("Measuring (about four minutes) ...")
    try:
        measure(root)
        bare = bare_training(root)
        report("the training program alone, same data, same environment", bare)
        print(json.dumps({name: round(seconds / bare, 1) for name, seconds in rows}, indent=1))
    finally:
        subprocess.run([*PIPELINE, "local", "down"], cwd=root, capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
