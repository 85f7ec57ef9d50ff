"""A command that is said to be next goes to the environment of the one before."""

from __future__ import annotations

import argparse

import pytest

from pipeline.cli import _target
from pipeline.cli import plan as verb


@pytest.mark.parametrize(("given", "said"), [("staging", "-e staging "), (None, "")])
def test_the_plan_is_applied_where_it_was_made(
    given: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    args = argparse.Namespace(
        name="iris", environment=given, asl=None, markdown=None, svg=None, out="p.json", offline=False
    )
    assert _target.same_environment(args).strip() == said.strip()
    verb._next(args, None)  # type: ignore[arg-type]
    shown = capsys.readouterr()
    assert f"next: pipeline apply iris {said}--plan p.json" in shown.out + shown.err


def test_a_plan_of_a_given_workflow_is_applied_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    args = argparse.Namespace(
        name="iris",
        environment=None,
        asl="my flow.json",
        markdown=None,
        svg=None,
        out="p.json",
        offline=False,
    )
    verb._next(args, None)  # type: ignore[arg-type]
    assert "next: pipeline apply iris --asl 'my flow.json' --plan p.json" in capsys.readouterr().err
