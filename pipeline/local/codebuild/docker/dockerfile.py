"""What is wrong with a Dockerfile, as far as it and the context's files tell: docker's own words for it."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

INSTRUCTIONS = frozenset(
    (
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    )
)
_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")
_PATTERN = re.compile(r"[*?\[]")


class Unbuildable(Exception):
    """The build fails; the message is docker's."""


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined; `line` counts from 1."""

    word: str
    rest: str
    line: int


def parse(text: str) -> list[Instruction]:
    """The instructions in order.

    Raises:
        Unbuildable: one is unknown or has no argument, or there is none.
    """
    found: list[Instruction] = []
    lines = iter(enumerate(text.splitlines(), 1))
    begun, parts = 0, list[str]()
    for number, line in lines:
        stripped = line.strip()
        if stripped.startswith("#") or (not stripped and not parts):
            continue
        begun = begun or number
        parts.append(stripped.removesuffix("\\").strip())
        if stripped.endswith("\\"):
            continue
        found.append(_instruction(" ".join(filter(None, parts)), begun))
        if found[-1].word in ("RUN", "COPY", "ADD"):
            for mark in _HEREDOC.findall(found[-1].rest):
                while next(lines, (0, mark))[1].strip() != mark:
                    pass
        begun, parts = 0, []
    if parts:
        found.append(_instruction(" ".join(filter(None, parts)), begun))
    if not found:
        raise Unbuildable("the Dockerfile cannot be empty")
    return found


def _instruction(text: str, line: int) -> Instruction:
    word, _, rest = text.partition(" ")
    if word.upper() not in INSTRUCTIONS:
        raise Unbuildable(f"dockerfile parse error on line {line}: unknown instruction: {word}")
    if not rest.strip():
        raise Unbuildable(f"dockerfile parse error on line {line}: {word.upper()} requires an argument")
    return Instruction(word.upper(), rest.strip(), line)


def check(instructions: list[Instruction], folder: Path) -> None:
    """Look through the build as the folder shows it.

    Raises:
        Unbuildable: it begins with no stage, or copies what is not there.
    """
    stages: list[str] = []
    for each in instructions:
        if each.word == "FROM":
            words = [word for word in each.rest.split() if not word.startswith("--")]
            stages.append(words[2] if len(words) == 3 and words[1].lower() == "as" else "")
        elif not stages and each.word != "ARG":
            raise Unbuildable("no build stage in current context")
        elif each.word in ("COPY", "ADD"):
            _check_copy(each, folder, stages)
    if not stages:
        raise Unbuildable("no build stage in current context")


def _check_copy(given: Instruction, folder: Path, stages: list[str]) -> None:
    options, sources = _sources(given)
    if not sources:
        raise Unbuildable(f"{given.word} requires at least two arguments, but only one was provided")
    origin = options.get("from")
    if origin is not None:
        # Another image's files cannot be seen from here; a stage's name can.
        if origin.isdigit() and int(origin) >= len(stages):
            raise Unbuildable(f"invalid from flag value {origin}: no such stage")
        return
    missing = [source for source in sources if not _is_there(source, folder)]
    # Patterns may match nothing as long as something is copied.
    named = [source for source in missing if not _PATTERN.search(source)]
    if named or len(missing) == len(sources):
        raise Unbuildable(
            f"{given.word} failed: file not found in build context or excluded by .dockerignore: "
            f"stat {(named or missing)[0]}: file does not exist"
        )


def _sources(given: Instruction) -> tuple[dict[str, str], list[str]]:
    """Options without their dashes, and what is copied."""
    rest, options = given.rest, dict[str, str]()
    while rest.startswith("--"):
        option, _, rest = rest.partition(" ")
        name, _, value = option[2:].partition("=")
        options[name] = value
        rest = rest.strip()
    try:
        words = json.loads(rest) if rest.startswith("[") else shlex.split(rest)
    except ValueError as error:
        raise Unbuildable(f"dockerfile parse error on line {given.line}: {error}") from None
    return options, [str(word) for word in words[:-1]]


def _is_there(source: str, folder: Path) -> bool:
    # A variable's value and an address are known to the build alone.
    if "$" in source or "://" in source or source.startswith("<<"):
        return True
    relative = source.lstrip("/") or "."
    if _PATTERN.search(relative):
        return any(folder.glob(relative))
    return (folder / relative).exists()
