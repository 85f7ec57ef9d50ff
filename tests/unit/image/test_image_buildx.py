"""What buildx tells and is told: steps, failures, the cache's login in memory alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import ApplyError
from pipeline.image import build, buildx
from pipeline.image.engine import Engine
from pipeline.image.login import Login

ENGINE = Engine(SimpleNamespace(), "unix:///e", "1", "amd64", "")  # type: ignore[arg-type]
CACHE = buildx.Cache("1.ecr/ml/x:src-0", Login("1.ecr", "AWS", "the-token"))

LINES = """\
#0 building with "default" instance using docker driver

#1 [internal] load remote build context
#1 DONE 0.0s

#5 importing cache manifest from 1.ecr/ml/x:src-0
#5 ERROR: no such thing

#4 [build 1/2] FROM docker.io/library/base:1
#4 CACHED

#6 [build 2/2] RUN   python3 -m venv /opt/venv     && true
#7 [stage-1 2/2] RUN exit 3
#6 2.543 Looking in links: wheelhouse
#6 DONE 7.8s
#7 0.301 cause
"""


def test_steps_are_told_once_each_as_they_end() -> None:
    said: list[str] = []
    found = buildx.follow((line + "\n" for line in LINES.splitlines()), said.append)
    assert said == [
        "  [build 1/2] FROM docker.io/library/base:1  (cached)",
        "  [build 2/2] RUN python3 -m venv /opt/venv && true  (7.8 s)",
    ]
    assert found.error == ""  # a cache that cannot be had is none


def test_a_failure_names_the_step_and_what_it_printed() -> None:
    why = 'process "/bin/sh -c exit 3" did not complete successfully: exit code: 3'
    ended = f"#7 ERROR: {why}\n------\n > [stage-1 2/2]\n"
    last = f"ERROR: failed to build: failed to solve: {why}\n"
    found = buildx.follow((LINES + ended + last).splitlines(), lambda _: None)
    assert (found.step, found.printed) == ("stage-1 2/2", ("cause",))
    assert found.error == why


def test_the_registrys_token_is_given_by_a_helper_and_lies_in_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"other": "x"}, "proxies": {}}))
    (tmp_path / "cli-plugins").mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with buildx._environment(ENGINE, CACHE) as given:
        folder = Path(given["DOCKER_CONFIG"])
        config = json.loads((folder / "config.json").read_text())
        assert config == {"credHelpers": {"other": "x", "1.ecr": "ml-pipeline"}, "proxies": {}}
        assert (folder / "cli-plugins").readlink() == tmp_path / "cli-plugins"
        texts = [path.read_text() for path in folder.iterdir() if path.is_file()]
        assert len(texts) == 2 and not any("the-token" in text for text in texts)
        said = subprocess.run(
            ["docker-credential-ml-pipeline", "get"], env=given, capture_output=True, text=True, check=True
        )
        assert json.loads(said.stdout) == {"ServerURL": "1.ecr", "Username": "AWS", "Secret": "the-token"}
        assert "AWS_SECRET_ACCESS_KEY" not in given and given["DOCKER_HOST"] == "unix:///e"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("variable", "podman", "present", "expected"),
    [("", False, True, True), ("0", False, True, False), ("1", True, True, False), ("", False, False, False)],
)
def test_it_is_taken_where_it_is_and_nobody_says_no(
    variable: str, podman: bool, present: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_BUILDKIT", variable)
    monkeypatch.setattr(buildx, "_present", lambda: present)
    engine = Engine(SimpleNamespace(), "unix:///e", "1", "amd64", "", podman)  # type: ignore[arg-type]
    assert buildx.usable(engine) is expected


def test_an_engine_whose_own_builder_makes_oci_manifests_is_told_before_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buildx, "usable", lambda _: False)
    engine = Engine(SimpleNamespace(), "unix:///e", "29", "amd64", "", containerd_images=True)  # type: ignore[arg-type]
    with pytest.raises(ApplyError, match="OCI manifests") as caught:
        build.build(engine, tmp_path, "ml/x:t", {}, {}, lambda _: None)
    assert "buildx" in caught.value.hint
