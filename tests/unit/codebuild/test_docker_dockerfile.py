"""What a Dockerfile and its folder show without an engine, in docker's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.local.codebuild.docker import dockerfile
from tests.conftest import REPOSITORY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "main.py").write_text("")
    (tmp_path / "lock").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be empty"),
        ("# nothing\n", "cannot be empty"),
        ("FORM base\n", "line 1: unknown instruction: FORM"),
        ("FROM base\n\nCOPPY a b\n", "line 3: unknown instruction: COPPY"),
        ("FROM base\nRUN\n", "line 2: RUN requires an argument"),
        ("RUN true\n", "no build stage"),
        ("ARG X=1\n", "no build stage"),
        ("FROM base\nCOPY lock\n", "requires at least two arguments"),
        ("FROM base\nCOPY nothing /x/\n", "stat nothing: file does not exist"),
        ("FROM base\nCOPY lock nothing /x/\n", "stat nothing: file does not exist"),
        ("FROM base\nCOPY nothing* /x/\n", "stat nothing*: file does not exist"),
        ('FROM base\nCOPY ["no file", "/x/"]\n', "stat no file: file does not exist"),
        ("FROM base\nCOPY --from=2 /a /b\n", "no such stage"),
        ("FROM base\nADD --chown=1:1 away /x/\n", "ADD failed"),
    ],
)
def test_what_is_broken_is_refused(folder: Path, text: str, said: str) -> None:
    with pytest.raises(dockerfile.Unbuildable, match=r".*") as refused:
        dockerfile.check(dockerfile.parse(text), folder)
    assert said in str(refused.value)


def test_what_docker_takes_is_taken(folder: Path) -> None:
    text = """\
# syntax
ARG BASE=x
FROM ${BASE} AS build
COPY lock wheelhouse* /b/
COPY program/*.py /b/
COPY --chmod=755 program ./
COPY $WHICH /b/
ADD https://example.com/x /b/
RUN a \\
    # a comment within
    && b

RUN <<END
COPY nothing of this is an instruction
END
FROM ${BASE}
COPY --from=build /b /c
COPY --from=0 /b /c
COPY . /all
HEALTHCHECK NONE
"""
    steps = dockerfile.parse(text)
    dockerfile.check(steps, folder)
    assert [step.word for step in steps].count("RUN") == 2
    assert next(step for step in steps if step.word == "RUN").rest == "a && b"


@pytest.mark.parametrize(
    "file", sorted(REPOSITORY.glob("container/*/Dockerfile")), ids=lambda f: f.parent.name
)
def test_our_own_are_read(file: Path) -> None:
    words = [step.word for step in dockerfile.parse(file.read_text())]
    assert words.count("FROM") >= 2
