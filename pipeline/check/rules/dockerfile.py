"""Rules on the Dockerfile: what the build, SageMaker, or whoever updates the image will trip over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.check.rule import Hit, rule
from pipeline.check.subject import Subject

_COMPILERS = re.compile(r"\b(?:build-essential|gcc|g\+\+|clang|gfortran|make|cmake|rustc|cargo)(?=[\s;&|]|$)")
_INSTALL = re.compile(r"\b(?:apt-get|apt|apk|dnf|yum|microdnf)\s+(?:-\S+\s+)*(?:install|add)\b")
_PIPED = re.compile(
    r"\b(?:curl|wget)\b[^|;&]*\|\s*(?:\S*/)?(?:ba|da|z)?sh\b|\b(?:curl|wget)\b[^|]*\|\s*python"
)
_BEST_PRACTICES = "https://docs.docker.com/build/building/best-practices/"
_REFERENCE = "https://docs.docker.com/reference/dockerfile/"


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined; `line` counts from 1, `stage` from 0."""

    word: str
    rest: str
    line: int
    stage: int


def instructions(text: str) -> list[Instruction]:
    """A Dockerfile's instructions in order; those before the first FROM are of stage -1."""
    found: list[Instruction] = []
    stage, begun, parts = -1, 0, []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        begun = begun or number
        parts.append(stripped.removesuffix("\\").strip())
        if stripped.endswith("\\"):
            continue
        word, _, rest = " ".join(parts).partition(" ")
        stage += word.upper() == "FROM"
        found.append(Instruction(word.upper(), rest.strip(), begun, stage))
        begun, parts = 0, []
    return found


def _dockerfiles(subject: Subject) -> Iterator[tuple[str, list[Instruction]]]:
    for file, text in subject.files.items():
        if file.rpartition("/")[2] == "Dockerfile":
            yield file, instructions(text)


@rule(
    "ML701",
    "a Dockerfile says which version of its base it wants, and lets the base be given",
    _BEST_PRACTICES + "#pin-base-image-versions",
)
def base_image(subject: Subject) -> Iterator[Hit]:
    for file, found in _dockerfiles(subject):
        defaults = dict(
            i.rest.split("=", 1) for i in found if i.word == "ARG" and i.stage < 0 and "=" in i.rest
        )
        stages: set[str] = set()
        for each in (i for i in found if i.word == "FROM"):
            words = [word for word in each.rest.split() if not word.startswith("--")]
            name = _filled(words[0] if words else "", defaults)
            if len(words) > 2 and words[1].upper() == "AS":
                stages.add(words[2])
            if name in stages or name == "scratch" or "$" in name:
                continue
            last = name.rpartition("/")[2]
            if "@" not in last and (":" not in last or last.endswith(":latest")):
                yield Hit(
                    "file",
                    (file, each.line),
                    f"{name or 'FROM'} may be another image tomorrow",
                    "name a version, or a digest: ARG BASE_IMAGE=<repository>:<version>@sha256:<digest>",
                )


@rule(
    "ML702",
    "the image that runs holds no compiler: what is compiled is compiled in a stage of its own",
    _BEST_PRACTICES + "#use-multi-stage-builds",
    severity="warning",
)
def compiler(subject: Subject) -> Iterator[Hit]:
    for file, found in _dockerfiles(subject):
        final = max((i.stage for i in found), default=-1)
        for each in found:
            tools = _COMPILERS.search(each.rest) if _INSTALL.search(each.rest) else None
            if each.word == "RUN" and each.stage == final and tools:
                yield Hit(
                    "file",
                    (file, each.line),
                    f"the final stage installs {tools[0]}",
                    "install it in an earlier stage and COPY --from that one what was made",
                )


@rule(
    "ML703",
    "a container's program gets SIGTERM: ENTRYPOINT and CMD are lists, not lines for a shell",
    "https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-dockerfile.html",
)
def shell_form(subject: Subject) -> Iterator[Hit]:
    for file, found in _dockerfiles(subject):
        for each in found:
            if each.word in ("ENTRYPOINT", "CMD") and not each.rest.startswith("["):
                yield Hit(
                    "file",
                    (file, each.line),
                    f"{each.word} in its shell form runs under /bin/sh, which keeps SIGTERM to itself",
                    f'write {each.word} ["program", "argument"]',
                )


@rule(
    "ML704",
    "what goes into an image is checked: nothing is fetched and run unseen",
    _REFERENCE + "#add---checksum",
)
def unchecked(subject: Subject) -> Iterator[Hit]:
    for file, found in _dockerfiles(subject):
        for each in found:
            if each.word == "RUN" and _PIPED.search(each.rest):
                what = "a download is piped into an interpreter"
            elif (
                each.word == "ADD" and re.search(r"\bhttps?://", each.rest) and "--checksum" not in each.rest
            ):
                what = "ADD fetches from an address without a checksum"
            elif each.word == "RUN" and _pip_unhashed(each.rest):
                what = "pip installs a requirements file without checking hashes"
            else:
                continue
            yield Hit(
                "file",
                (file, each.line),
                what,
                "put it into the lock, or check its SHA-256 before it is used",
            )


@rule(
    "ML705",
    "the Dockerfile builds with every engine's API: no mounts of BuildKit in RUN",
    _REFERENCE + "#run---mount",
)
def buildkit(subject: Subject) -> Iterator[Hit]:
    for file, found in _dockerfiles(subject):
        for each in found:
            if each.word in ("RUN", "COPY", "ADD") and re.match(r"--(?:mount|link|security)\b", each.rest):
                yield Hit(
                    "file",
                    (file, each.line),
                    f"{each.word} {each.rest.split()[0]} needs BuildKit; the engine's API builds without",
                    "wheels lie in wheelhouse/ of the context: COPY requirements.lock wheelhouse* ...",
                )


def _filled(name: str, defaults: Mapping[str, str]) -> str:
    """An image's name with the arguments' defaults put in; what has none stays as it is."""
    return re.sub(r"\$\{?(\w+)(?::-[^}]*)?\}?", lambda found: defaults.get(found[1], found[0]), name)


def _pip_unhashed(command: str) -> bool:
    pip = re.search(r"\bpip3?\s+(?:-\S+\s+)*install\b(?P<arguments>[^;&|]*)", command)
    if pip is None or not re.search(r"(?:^|\s)(?:-r|--requirement)\b", pip["arguments"]):
        return False
    return "--require-hashes" not in pip["arguments"]
