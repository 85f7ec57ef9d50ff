"""Rules on the Dockerfile: what the build, SageMaker, or whoever updates the image will trip over.

What hadolint knows is its own to say (ML005, in validators).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.check.rule import Hit, rule
from pipeline.check.subject import Subject
from pipeline.settings.loader import PROJECT_FILE

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
    "the base image that a Dockerfile's argument names by default has a version",
    _BEST_PRACTICES + "#pin-base-image-versions",
)
def base_version(subject: Subject) -> Iterator[Hit]:
    for file, line, name, written in _bases(subject):
        # One that is written out is hadolint's (DL3006, DL3007), which does not look at arguments.
        if "$" in written and not _digest(name) and _tag(name) in ("", "latest"):
            yield Hit(
                "file",
                (file, line),
                f"{name} may be another image tomorrow",
                "name a version, or a digest: ARG BASE_IMAGE=<repository>:<version>@sha256:<digest>",
            )


@rule(
    "ML706",
    "the base image is one that cannot change: it is named by its digest",
    _BEST_PRACTICES + "#pin-base-image-versions",
    severity="warning",
)
def base_digest(subject: Subject) -> Iterator[Hit]:
    for file, line, name, _ in _bases(subject):
        if _tag(name) not in ("", "latest") and not _digest(name):
            yield Hit(
                "file",
                (file, line),
                f"{name} is a tag, which its owner can move: the same source would be another image",
                "add its digest, name:tag@sha256:..., as docs/explanation/images.md says how to find it",
            )


def _bases(subject: Subject) -> Iterator[tuple[str, int, str, str]]:
    """(file, line, image with arguments filled in, image as written) of each that is no stage, once."""
    given = tomllib.loads(subject.files.get(PROJECT_FILE, "")).get("project", {}).get("base_image")
    for file, found in _dockerfiles(subject):
        arguments = (i.rest for i in found if i.word == "ARG" and i.stage < 0)
        defaults = dict(each.split("=", 1) for each in arguments if "=" in each)
        defaults |= {"BASE_IMAGE": given} if given else {}
        stages: set[str] = set()
        for each in (i for i in found if i.word == "FROM"):
            words = [word for word in each.rest.split() if not word.startswith("--")]
            written = words[0] if words else ""
            name = _filled(written, defaults)
            if len(words) > 2 and words[1].upper() == "AS":
                stages.add(words[2])
            if name and name not in stages and name != "scratch" and "$" not in name:
                yield file, each.line, name, written
                stages.add(name)


def _digest(name: str) -> bool:
    return "@" in name


def _tag(name: str) -> str:
    return name.partition("@")[0].rpartition("/")[2].partition(":")[2]


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
