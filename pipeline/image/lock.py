"""A hashed requirements.lock, read: what it pins, for which interpreter, and what of it counts on Linux."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker, default_environment

_PINNED = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\]+))?"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_PYTHON = re.compile(r"--python-version[ =](\d+\.\d+)")
# What the locks of this repository are compiled for, where a lock does not say.
DEFAULT_PYTHON = "3.11"


@dataclass(frozen=True)
class Pin:
    """One requirement of a lock."""

    name: str
    version: str
    hashes: tuple[str, ...]
    marker: str

    def counts(self, python: str, machine: str) -> bool:
        """Whether it is installed on Linux with that Python (`3.11`) and machine (`x86_64`)."""
        if not self.marker:
            return True
        target = {
            **{key: str(value) for key, value in default_environment().items()},
            "implementation_name": "cpython",
            "implementation_version": f"{python}.0",
            "os_name": "posix",
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{python}.0",
            "python_version": python,
            "sys_platform": "linux",
        }
        return Marker(self.marker).evaluate(target)


@dataclass(frozen=True)
class Lock:
    """A lock file's pins and the Python it was compiled for."""

    pins: tuple[Pin, ...]
    python: str

    def on_linux(self, machine: str) -> tuple[Pin, ...]:
        """The pins that are installed on Linux, in the file's order."""
        return tuple(pin for pin in self.pins if pin.counts(self.python, machine))


def read(path: Path) -> Lock:
    """The lock file, as `uv pip compile --generate-hashes` writes it."""
    text = path.read_text(encoding="utf-8")
    found = _PYTHON.search(text)
    entries = re.sub(r"\\\n\s*", " ", text).splitlines()
    pins = []
    for entry in entries:
        match = _PINNED.match(entry.strip())
        if match:
            marker = (match["marker"] or "").partition("--hash")[0].strip()
            pins.append(Pin(match["name"], match["version"], tuple(_HASH.findall(entry)), marker))
    return Lock(tuple(pins), found[1] if found else DEFAULT_PYTHON)
