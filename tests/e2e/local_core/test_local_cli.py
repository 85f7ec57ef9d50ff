"""`pipeline local`, verb by verb, on a folder that holds no more than settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from pipeline.cli import main
from pipeline.local import down

REPOSITORY = Path(__file__).parents[3]
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("settings")
    settings = Path("pipeline/definitions/iris/settings.toml")
    (root / settings).parent.mkdir(parents=True)
    for name in (Path("pipeline.toml"), settings):
        shutil.copy2(REPOSITORY / name, root / name)
    # The settings name it.
    (root / "container" / "iris").mkdir(parents=True)
    yield root
    down(root)


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(root)

    def call(*arguments: str) -> tuple[int, str]:
        code = main(["local", *arguments])
        return code, capsys.readouterr().out

    return call


def parsed(run: Run, *arguments: str) -> dict[str, Any]:
    code, out = run(*arguments, "--json")
    assert code == 0, out
    return dict(json.loads(out))


def test_the_verbs_in_order(run: Run, root: Path) -> None:
    assert run("status")[0] == 1
    assert run("down") == (0, "it did not run\n")
    up = parsed(run, "up")
    assert up["endpoint_url"].startswith("http://127.0.0.1:")
    assert parsed(run, "up")["pid"] == up["pid"]
    code, out = run("status")
    assert code == 0
    assert out.startswith(f"running  {up['endpoint_url']}\n")
    assert parsed(run, "status")["pid"] == up["pid"]
    assert "Ready" in run("logs")[1]
    assert len(parsed(run, "logs", "--lines", "3")["lines"]) == 3
    assert parsed(run, "down") == {"stopped": True}
    assert run("status")[0] == 1
    assert parsed(run, "reset") == {"reset": True}
    assert not (root / ".pipeline" / "local" / "services").exists()


def test_env_is_for_eval_and_reaches_the_account_of_the_settings(run: Run) -> None:
    code, out = run("env")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "unset AWS_PROFILE AWS_SESSION_TOKEN"
    exported = dict(line.removeprefix("export ").split("=", 1) for line in lines[1:])
    assert exported == parsed(run, "env")
    client = boto3.client(
        "sts",
        endpoint_url=exported["AWS_ENDPOINT_URL"],
        region_name=exported["AWS_REGION"],
        aws_access_key_id=exported["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=exported["AWS_SECRET_ACCESS_KEY"],
    )
    assert client.get_caller_identity()["Account"] == exported["AWS_ACCESS_KEY_ID"]


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["local", "--help"])
    out = capsys.readouterr().out
    for verb in ("up", "status", "logs", "down", "reset", "env"):
        assert f"\n    {verb} " in out
