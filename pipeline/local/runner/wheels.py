"""Where wheels are found besides the package index: pip's own folders, and PyTorch's index for the CPU.

uv does not read pip's configuration, and the package index has no PyTorch for Linux without CUDA. Nothing is
fetched from a place that neither the user's configuration nor the lock names.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

# A requirement with the local version that PyTorch gives its builds for the CPU, with its hashes.
_FOR_CPU = re.compile(r"^(?:torch|torchvision|torchaudio)==[^\s;\\]+\+cpu\b(?:.*\\\n)*.*$", re.MULTILINE)


def find_links(environ: Mapping[str, str] | None = None, home: Path | None = None) -> list[str]:
    """Folders and pages that pip was told to look for wheels in, each once; missing folders are left out."""
    environ = os.environ if environ is None else environ
    said = environ.get("PIP_FIND_LINKS", "").split()
    for file in _configurations(environ, home or Path.home()):
        reader = configparser.RawConfigParser()
        try:
            reader.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip will say so; for us it names no folder
        for section in ("global", "install"):
            said += reader.get(section, "find-links", fallback="").split()
    return [place for place in dict.fromkeys(said) if "://" in place or Path(place).is_dir()]


def _configurations(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """pip's configuration files, as its documentation lists them."""
    given = environ.get("PIP_CONFIG_FILE")
    if given:
        yield Path(given)
        return
    yield Path("/etc/pip.conf")
    for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder) / "pip" / "pip.conf"
    yield home / ".pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"


def for_cpu(lock: str) -> str:
    """The requirements of a lock that only PyTorch's own index for the CPU has; empty without any."""
    return "".join(f"{found[0]}\n" for found in _FOR_CPU.finditer(lock))
