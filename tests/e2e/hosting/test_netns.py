"""A program without network is reached through its namespace, whether the server is root or not."""

from __future__ import annotations

import http.client
import shutil
import stat
from pathlib import Path

import pytest

from pipeline.local.runner import mount, registry, start_server
from pipeline.local.runner.process import ProcessRunner
from pipeline.local.sagemaker.netns import Connector, Unreachable
from tests.e2e.hosting.conftest import SERVE, until

PORT = 8080


@pytest.mark.skipif(
    not mount.cuts_networks(mount.isolation()), reason="this kernel gives no network namespaces"
)
@pytest.mark.parametrize("isolation", ["namespace", "user-namespace"])
def test_reached_only_through_the_connector(
    isolation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isolation == "namespace" and mount.isolation() != isolation:
        pytest.skip("only root can leave namespaces without a user namespace")
    monkeypatch.setattr(registry, "_records", tmp_path)
    image, model = tmp_path / "image", tmp_path / "model"
    image.mkdir()
    model.mkdir()
    (model / "answer.txt").write_text("from inside")
    (image / "serve").write_text(SERVE)
    (image / "serve").chmod(stat.S_IRWXU)
    runner = ProcessRunner(tmp_path / "state", isolation=isolation)
    process = start_server(image, model, {}, PORT, print, network=False, runner=runner)
    connector = Connector(process.pid)
    try:
        with pytest.raises(Unreachable):
            connector.connect(1)

        def reached() -> object:
            try:
                return connector.connect(PORT)
            except Unreachable:
                return None

        connection = http.client.HTTPConnection("inside")
        connection.sock = until(reached)
        connection.request("POST", "/invocations", body="x")
        assert connection.getresponse().read() == b"from inside"
        connection.close()
    finally:
        process.terminate(2)
        connector.close()
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
    with pytest.raises(Unreachable):
        connector.connect(PORT)
    with pytest.raises(Unreachable, match="No such file"):
        Connector(process.pid)
