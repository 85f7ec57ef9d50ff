"""docs/how-to/watch-a-run.ipynb, executed cell by cell on a deployed iris; live pictures; --asl."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.e2e.conftest import Iris

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs/how-to/watch-a-run.ipynb"
# Fills of pipeline/graph/colours.py.
SUCCEEDED = "#d2f4d9"


def test_the_notebook_runs_and_shows_the_pictures(iris: Iris, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    for name in list(os.environ):
        if name.startswith(("AWS_", "PIPELINE_")) and name != "PIPELINE_LOCAL_RUNNER":
            monkeypatch.delenv(name)
    (iris.root / "build").mkdir(exist_ok=True)
    monkeypatch.setenv("IPYTHONDIR", str(iris.root / "build/ipython"))
    monkeypatch.setenv("PYTHONPATH", str(iris.root))
    iris.cli("data", "iris", "put")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), (
        "committed without outputs: none can be old"
    )
    resources = {"metadata": {"path": str(iris.root)}}
    done = NotebookClient(notebook, timeout=200, resources=resources).execute()
    outputs = {
        cell.source.partition("\n")[0]: cell.outputs for cell in done.cells if cell.cell_type == "code"
    }

    plain = outputs["from pipeline.notebook import render_graph, render_progress"][0]["data"]
    assert "<svg" in plain["image/svg+xml"]
    assert SUCCEEDED not in plain["image/svg+xml"]
    assert base64.b64decode(plain["image/png"]).startswith(b"\x89PNG")

    followed = outputs['progress = render_progress("iris")']
    assert len(followed) == 1, "one picture, drawn again in place"
    assert followed[0]["metadata"] is not None
    assert SUCCEEDED in followed[0]["data"]["image/svg+xml"]
    assert "SUCCEEDED" in followed[0]["data"]["image/svg+xml"]
    assert outputs["progress.status"][0]["data"]["text/plain"] == "'SUCCEEDED'"
    assert (iris.root / "build/run.png").read_bytes().startswith(b"\x89PNG")
    monitor = outputs['render_graph("mnist", machine="monitor")'][0]["data"]["image/svg+xml"]
    assert "CompareRequests" in monitor


def test_live_in_a_shell_tells_changes_and_draws_the_file(iris: Iris) -> None:
    date = iris.day(2)
    started = json.loads(iris.cli("run", "iris", "--date", date, "--no-follow", "--json").stdout)
    shown = iris.cli("graph", "iris", "--live", "--out", "build/live.svg").stdout
    # How a state turns from running to done while one looks: tests/unit/graph/test_live.py.
    assert "succeeded  Train" in shown
    assert f"{started['name']}: SUCCEEDED" in shown
    assert "ok Train" in shown
    svg = (iris.root / "build/live.svg").read_text()
    assert SUCCEEDED in svg
    assert "SUCCEEDED" in svg
    again = iris.cli("graph", "iris", "--live", "--execution", started["name"]).stdout
    assert "ok Train" in again


def test_a_workflow_edited_by_hand_is_deployed_runs_and_is_put_back(iris: Iris) -> None:
    """Export, edit, plan, apply, run; then the ordinary apply tells what it puts back, and does."""
    flow = iris.root / "build/flow.json"
    flow.parent.mkdir(exist_ok=True)
    asl = json.loads(iris.cli("render", "iris", "--asl-only", "--stdout").stdout)
    asl["States"]["Remark"] = {"Type": "Pass", "Comment": "by hand", "Next": asl["StartAt"]}
    asl["StartAt"] = "Remark"
    flow.write_text(json.dumps(asl, indent=1))
    iris.cli.environment["CI"] = "false"
    planned = iris.cli("plan", "iris", "--asl", "build/flow.json").stdout
    assert "the workflow is from the file flow.json" in planned
    assert "added" in planned
    iris.cli("apply", "iris", "--asl", "build/flow.json", "--yes")
    iris.run(iris.day(3))
    states = json.loads(iris.cli("graph", "iris", "--execution", "last", "--json").stdout)["states"]
    assert {s["name"]: s["status"] for s in states}["Remark"] == "succeeded"

    back = iris.cli("plan", "iris").stdout
    assert "put by hand from the file flow.json" in back
    iris.cli("apply", "iris", "--yes")
    assert "No changes." in iris.cli("plan", "iris").stdout
    machine = iris.client("stepfunctions").list_state_machines()["stateMachines"][0]["stateMachineArn"]
    definition = iris.client("stepfunctions").describe_state_machine(stateMachineArn=machine)["definition"]
    assert "Remark" not in definition

    asl["States"]["Remark"]["Next"] = "Nowhere"
    flow.write_text(json.dumps(asl, indent=1))
    refused = iris.cli("apply", "iris", "--asl", "build/flow.json", "--yes", code=2).stderr
    assert "build/flow.json:" in refused
    assert "Nowhere" in refused
