"""What the process runner honours of an image's Dockerfile: ENV, ENTRYPOINT and CMD of the last stage.

The rest (FROM, RUN, COPY) makes a file system, for which the environment of requirements.lock and
the image's own folder at /opt/program stand in.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")


@dataclass(frozen=True)
class ImageConfig:
    """What of an image's configuration decides how its program starts."""

    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def command_line(self, given: tuple[str, ...], replaces_entrypoint: bool) -> list[str]:
        """What `docker run` would execute for arguments, or for a new entrypoint with its arguments."""
        if replaces_entrypoint:
            return list(given)
        return [*self.entrypoint, *(given or self.command)]


def read(folder: Path) -> ImageConfig:
    """The configuration that the folder's Dockerfile describes; empty without one."""
    try:
        text = (folder / "Dockerfile").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ImageConfig()
    return parse(text)


def parse(text: str) -> ImageConfig:
    """As `read`, from a Dockerfile's text. PATH is left out: it names folders of the image's file system."""
    arguments: dict[str, str] = {}
    environment: dict[str, str] = {}
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    for line in _instructions(text):
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        match word.upper():
            case "FROM":
                environment, entrypoint, command = {}, (), ()
            case "ARG":
                name, _, default = rest.partition("=")
                arguments[name.strip()] = default.strip().strip("\"'")
            case "ENV":
                for name, value in _pairs(rest):
                    environment[name] = _expand(value, {**arguments, **environment})
            case "ENTRYPOINT":
                entrypoint = _command(rest)
            case "CMD":
                command = _command(rest)
    environment.pop("PATH", None)
    return ImageConfig(environment, entrypoint, command)


def _instructions(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\[ \t]*\n", " ", "\n".join(lines))
    return [line.strip() for line in joined.splitlines() if line.strip()]


def _pairs(rest: str) -> list[tuple[str, str]]:
    words = shlex.split(rest)
    if words and "=" not in words[0]:  # the old form, `ENV name value with blanks`
        name, _, value = rest.partition(" ")
        return [(name, value.strip())]
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]


def _expand(value: str, known: dict[str, str]) -> str:
    def put(found: re.Match[str]) -> str:
        name = found.group(1) or found.group(3)
        return known.get(name) or found.group(2) or ""

    return _VARIABLE.sub(put, value)


def _command(rest: str) -> tuple[str, ...]:
    if rest.startswith("["):
        return tuple(str(part) for part in json.loads(rest))
    return ("/bin/sh", "-c", rest)
