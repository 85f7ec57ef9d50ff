"""`make bench-build`: what images cost to build and push, and what they weigh, against the usual approach.

The container of iris, on an engine and a local target of this run's own (so: Debian, as root), in turn with
an image as published examples make it (scripts/bench_build/Dockerfile); neither needs a package index.
Times are of a build and its push to a registry on this machine. Ratios are taken within a round: quote those.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

from pipeline.aws import Clients, Credentials, Target, connect
from pipeline.image import buildx, make, push, resolve, wheelhouse
from pipeline.image import engine as engines
from pipeline.image.address import build_arguments, image_tag
from pipeline.image.archive import build_context
from pipeline.image.build import follow
from pipeline.local import down, ensure_up

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent / "bench_build"
LOCK = Path(__file__).resolve().parent / "bench_serving" / "original.lock"
SCRIPT = ROOT / ".ci" / "engine"
REGION, ACCOUNT, BUCKET = "eu-west-1", "111122223333", "bench-artifacts"
ORIGINAL, OWN, BUILDX = "original", "ours, the engine's builder", "ours, buildx"
Sizes = dict[str, tuple[float, float]]


@contextmanager
def packages() -> Iterator[str]:
    """The wheels of the original's lock, over HTTP on this machine: its package index."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy2(LOCK, Path(folder) / "requirements.lock")
        wheels = wheelhouse.ensure(Path(folder), "amd64")
    handler = partial(Quiet, directory=str(wheels[0].parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """It says nothing."""

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def engine_of_our_own(folder: Path) -> Iterator[None]:
    """An engine whose images and layers this run may throw away."""
    variables = {**os.environ, "ENGINE_DIR": str(folder)}
    done = subprocess.run([SCRIPT, "up"], env=variables, stdout=subprocess.PIPE, text=True, check=True)
    os.environ.update(dict(word.split("=", 1) for word in shlex.split(done.stdout)[1:]))
    try:
        yield
    finally:
        subprocess.run([SCRIPT, "down"], env=variables, check=True)


def whole_distribution(engine: engines.Engine, scratch: Path) -> str:
    """A base with apt and dpkg, as the examples' bases are; Debian's own, as ours."""
    archive = scratch / "whole.tar"
    sources = next(
        path
        for path in map(Path, ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"))
        if path.exists()
    )
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates,python3"]
    # The archive's own list of sources lies in the image, so that apt-get works there as here.
    command += [
        f"--customize-hook=copy-in {sources} {sources.parent}",
        "bookworm",
        str(archive),
        str(sources),
    ]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    engine.client.api.import_image(str(archive), repository="whole", tag="1")
    return "whole:1"


class Bench:
    """The two containers' folders, and where their images go."""

    def __init__(self, scratch: Path, packages: str) -> None:
        found = engines.find()
        assert found is not None
        self.packages = packages
        self.engine, self.scratch = found, scratch
        self.root = scratch / "target"
        self.iris = self.root / "container" / "iris"
        for name in ("iris", "serving"):
            ignore = shutil.ignore_patterns("__pycache__", ".mypy_cache")
            shutil.copytree(ROOT / "container" / name, self.root / "container" / name, ignore=ignore)
        self.original = scratch / "original"
        shutil.copytree(HERE, self.original)
        shutil.copy2(LOCK, self.original / "requirements.lock")
        (self.original / "program.py").write_text("")
        self.base = whole_distribution(self.engine, scratch)
        endpoint = ensure_up(self.root).endpoint_url
        self.clients: Clients = connect(
            Target("local", endpoint, REGION, ACCOUNT, Credentials(ACCOUNT, "any"))
        )
        configuration = {"LocationConstraint": REGION}
        self.clients.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=configuration)
        for repository in ("ml/iris", "ml/original"):
            self.clients.ecr.create_repository(repositoryName=repository)
        self.pushed: list[str] = []

    def change(self, stack: str) -> None:
        """One line of the program."""
        program = self.original / "program.py" if stack == ORIGINAL else self.iris / "train"
        with program.open("a") as stream:
            stream.write(f"# {time.time_ns()}\n")

    def image(self, stack: str) -> str:
        """Build and push as the container is now; the image's name in the engine."""
        return self._original() if stack == ORIGINAL else self._ours(stack)

    def _ours(self, stack: str) -> str:
        os.environ["DOCKER_BUILDKIT"] = "1" if stack == BUILDX else "0"
        arguments = build_arguments(self.iris)
        wanted = resolve.ImageSource(self.iris, "ml/iris", image_tag(self.iris, arguments), arguments)
        settings: Any = SimpleNamespace(root=self.root, artifact_bucket=BUCKET)
        make.ensure(self.clients, settings, wanted, self.pushed.append)
        return f"ml/iris:{wanted.tag}"

    def _original(self) -> str:
        name = f"ml/original:{time.time_ns()}"
        with build_context(self.original) as context:
            events = self.engine.client.api.build(
                fileobj=context,
                custom_context=True,
                tag=name,
                buildargs={"BASE_IMAGE": self.base, "PACKAGES": self.packages},
                network_mode="host",
                rm=True,
                decode=True,
            )
            follow(events, self.pushed.append, str(self.original))
        push.push(self.clients, self.engine, name, "ml/original", name.partition(":")[2], self.pushed.append)
        return name

    def forget(self) -> None:
        """The engine as on a fresh machine: bases, and nothing that was built."""
        for image in self.engine.client.images.list():
            if not any(tag.startswith(("whole:", "pipeline-base:")) for tag in image.tags):
                self.engine.client.api.remove_image(image.id, force=True)
        self.engine.client.api.prune_builds()
        self.engine.client.images.prune(filters={"dangling": True})

    def sizes(self, name: str) -> tuple[float, float]:
        """MB in the registry (compressed), MB in the engine."""
        repository, tag = name.split(":")
        details = self.clients.ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
        compressed = details["imageDetails"][0]["imageSizeInBytes"]
        return compressed / 1e6, self.engine.client.images.get(name).attrs["Size"] / 1e6

    def stored(self) -> float:
        """MB that the local registry holds on disk: what a push adds is what had to be sent."""
        folder = self.root / ".pipeline" / "local"
        return sum(path.stat().st_size for path in folder.rglob("blobs/sha256/*/*/data")) / 1e6


def round_of(bench: Bench, stacks: list[str], seconds: dict[tuple[str, str], list[float]]) -> Sizes:
    """Every stack in every situation, once; the sizes of their images."""
    sizes: Sizes = {}

    def measure(stack: str, situation: str) -> None:
        before, started = bench.stored(), time.perf_counter()
        name = bench.image(stack)
        took, sent = time.perf_counter() - started, bench.stored() - before
        seconds[stack, situation].append(took)
        seconds[stack, f"{situation}, MB sent"].append(sent)
        if situation != "nothing changed":
            sizes[stack] = bench.sizes(name)
        print(f"  {stack:<28} {situation:<24} {took:6.1f} s {sent:6.1f} MB", file=sys.stderr, flush=True)

    for stack in stacks:
        bench.forget()
        bench.change(stack)
        measure(stack, "fresh machine, first")
        bench.change(stack)
        measure(stack, "warm, one changed line")
        bench.forget()
        bench.change(stack)
        measure(stack, "fresh machine, one line")
        if stack != ORIGINAL:
            measure(stack, "nothing changed")
    return sizes


def table(seconds: dict[tuple[str, str], list[float]], sizes: Sizes) -> Iterator[str]:
    """Markdown. Ratios are the original's time to the stack's in the same round; their medians."""
    situations = ("fresh machine, first", "warm, one changed line", "fresh machine, one line")
    yield "| Stack | " + " | ".join(situations) + " | nothing changed | MB in the registry | MB unpacked |"
    yield "|---" * (len(situations) + 4) + "|"
    for stack, (compressed, unpacked) in sizes.items():
        cells = []
        for situation in situations:
            pairs = zip(seconds[ORIGINAL, situation], seconds[stack, situation], strict=True)
            ratio = statistics.median(original / own for original, own in pairs)
            took = statistics.median(seconds[stack, situation])
            sent = statistics.median(seconds[stack, f"{situation}, MB sent"])
            cells.append(f"{took:.1f} s, {ratio:.1f} x; {sent:.1f} MB sent")
        skipped = seconds.get((stack, "nothing changed"))
        cells.append(f"{statistics.median(skipped):.2f} s" if skipped else "as warm")
        yield f"| {stack} | {' | '.join(cells)} | {compressed:.0f} | {unpacked:.0f} |"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    sizes: Sizes = {}
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="bench-build-", dir="/var/tmp") as folder:
        scratch = Path(folder)
        with packages() as index, engine_of_our_own(scratch / "engine"):
            bench = Bench(scratch, index)
            try:
                stacks = [ORIGINAL, OWN, *([BUILDX] if buildx.usable(bench.engine) else [])]
                for number in range(rounds):
                    print(f"round {number + 1} of {rounds}", file=sys.stderr)
                    sizes = round_of(bench, stacks, seconds)
            finally:
                down(bench.root)
    load = os.getloadavg()[1]
    print("\n".join(table(seconds, sizes)))
    print(f"\n{rounds} rounds on {os.cpu_count()} processors, load {load:.1f} at the end.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
