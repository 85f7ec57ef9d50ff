"""The tutorial, typed as it stands: every `$ pipeline ...` line of docs/tutorial.md, in order."""

from __future__ import annotations

import shlex

from tests.conftest import REPOSITORY, Cli
from tests.docs.test_docs import commands

EXPECTED_TO_FAIL = "run iris --date 2026-01-05 --follow"  # the shuffled labels of section 4


def test_the_tutorial_as_it_is_typed(cli: Cli) -> None:
    typed = [c for c in commands(REPOSITORY / "docs/tutorial.md") if c.startswith("pipeline ")]
    assert len(typed) >= 12
    # Section 1 is `make demo`; these are the commands it runs.
    for line in ("apply iris --yes", "data iris put", "run iris --follow"):
        cli(*line.split())
    settings = cli.root / "pipeline/definitions/iris/settings.toml"
    for line in typed:
        arguments = shlex.split(line)[1:]
        if arguments == ["plan", "iris"]:
            settings.write_text(settings.read_text().replace("max_leaf_nodes = 5", "max_leaf_nodes = 4"))
        done = cli(*arguments, code=1 if " ".join(arguments) == EXPECTED_TO_FAIL else 0)
        if arguments == ["plan", "iris"]:
            assert "max_leaf_nodes" in done.stdout
        if arguments == ["run", "iris", "--follow"]:
            assert "Train" in done.stdout + done.stderr, "a changed recipe trains again on known data"
        if " ".join(arguments) == EXPECTED_TO_FAIL:
            assert "ModelRejected" in done.stdout + done.stderr
        if arguments[0] == "invoke":
            assert "virginica" in done.stdout
    assert cli("local", "status", code=1).stdout
