"""Finds the Java that Spark runs on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pipeline.local.glue.spark.model import SparkUnavailable

# Where package managers put it without setting anything.
USUAL = (
    "/usr/lib/jvm/java-{version}-openjdk-*/bin/java",
    "/usr/lib/jvm/temurin-{version}-*/bin/java",
    "/opt/homebrew/opt/openjdk@{version}/bin/java",
    "/usr/local/opt/openjdk@{version}/bin/java",
    "/Library/Java/JavaVirtualMachines/*-{version}.jdk/Contents/Home/bin/java",
)
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_HOME = re.compile(r"^\s*java\.home = (.+)$", re.MULTILINE)


def find(version: int, environment: Mapping[str, str] = os.environ) -> Path:
    """The `java` program of that version: of JAVA_HOME, else on the PATH, else where packages put it.

    Raises:
        SparkUnavailable: there is none; the text says what was found and how to install it.
    """
    found: list[str] = []
    for program in _candidates(version, environment):
        told = _ask(program)
        major, home = _VERSION.search(told), _HOME.search(told)
        if major and home and int(major[1]) == version:
            return Path(home[1].strip()) / "bin" / "java"  # what is on the PATH may only stand for it
        if major:
            found.append(f"{program} is Java {major[1]}")
    raise SparkUnavailable(
        f"Spark runs on Java {version}, as Glue has it, and there is none here"
        f"{' (' + '; '.join(found) + ')' if found else ''}. Install it:\n"
        f"  Debian, Ubuntu: apt-get install openjdk-{version}-jre-headless\n"
        f"  macOS:          brew install openjdk@{version}\n"
        f"or set JAVA_HOME to one."
    )


def _candidates(version: int, environment: Mapping[str, str]) -> list[Path]:
    candidates = []
    if home := environment.get("JAVA_HOME"):
        candidates.append(Path(home) / "bin" / "java")
    if found := shutil.which("java", path=environment.get("PATH", os.defpath)):
        candidates.append(Path(found))
    for pattern in USUAL:
        candidates += sorted(Path("/").glob(pattern.format(version=version)[1:]))
    return [each for each in candidates if each.is_file()]


@cache
def _ask(program: Path) -> str:
    """What it says of itself; nothing when it does not run (macOS has a `java` that only says so)."""
    command = [str(program), "-XshowSettings:properties", "-version"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stderr + told.stdout
