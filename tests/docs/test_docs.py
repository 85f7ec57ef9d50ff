"""What the docs say is true: commands parse, links lead somewhere, generated pages are up to date."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import VERBS, build_parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HAND_WRITTEN = [p for p in PAGES if p.name not in ("cli.md", "rules.md")]


def commands(page: Path) -> list[str]:
    """Lines that start with `$ ` in the fenced blocks of a page, joined where they end with a backslash."""
    found = []
    for block in re.findall(r"```(?:console|bash|sh)\n(.*?)```", page.read_text(), re.S):
        joined = block.replace("\\\n", " ")
        found += [line[2:].split("  #")[0].strip() for line in joined.splitlines() if line.startswith("$ ")]
    return found


CALLS = sorted({(p.relative_to(ROOT).as_posix(), c) for p in HAND_WRITTEN for c in commands(p)})


@pytest.mark.parametrize("command", [c for _, c in CALLS], ids=[f"{p}: {c}" for p, c in CALLS])
def test_every_command_in_the_docs_exists(command: str) -> None:
    for part in re.split(r"\s*(?:&&|\|)\s*", command):
        words = shlex.split(part, comments=True)
        while words and ("=" in words[0] or words[0].endswith("/bin/env")):
            words.pop(0)
        if not words:
            continue
        name = words[0].rsplit("/", 1)[-1]
        if name == "pipeline":
            arguments = ["NAME" if w.startswith("<") else w for w in words[1:]]
            if "--help" not in arguments and "--version" not in arguments:
                build_parser().parse_args(arguments)
        elif name == "make":
            for target in [w for w in words[1:] if "=" not in w]:
                assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), (
                    f"no make target {target}"
                )
        else:
            assert name in ("git", "cd", "aws", "curl", "eval", "export", "cp", "python", "docker", "cat"), (
                part
            )


def test_there_are_commands_to_test() -> None:
    assert len(CALLS) >= 30


def test_every_verb_is_documented_by_hand() -> None:
    text = "\n".join(p.read_text() for p in HAND_WRITTEN)
    for verb in VERBS:
        assert f"pipeline {verb}" in text, f"no page shows 'pipeline {verb}'"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_generated_pages_are_up_to_date() -> None:
    program = (
        "import sys; sys.path.insert(0, 'scripts'); import reference\n"
        "stale = [str(p) for p, t in reference.pages().items() if not p.exists() or p.read_text() != t]\n"
        "raise SystemExit('run: make docs  (stale: ' + ', '.join(stale) + ')' if stale else 0)"
    )
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
