"""The environment of a commit that locks other packages than ours: made once, kept in the user's cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.local.forge import checkout

# As scripts/bootstrap: an environment without pip would be made anew, which Python refuses behind a link.
BOOTSTRAP = """\
#!/usr/bin/env bash
set -euo pipefail
.venv/bin/python -m pip --version >/dev/null
echo made >> made
echo FINGERPRINT > .venv/.locked
"""


def test_an_environment_is_made_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(checkout, "fingerprint", lambda _: "FINGERPRINT")
    folder = tmp_path / "checkout"
    bootstrap = folder / "scripts" / "bootstrap"
    bootstrap.parent.mkdir(parents=True)
    bootstrap.write_text("#!/bin/sh\necho no index answers; exit 7\n")
    bootstrap.chmod(0o755)
    with pytest.raises(SettingsError, match="scripts/bootstrap ended with 7: no index answers"):
        checkout.environment(folder)
    assert not (folder / ".venv").is_symlink()
    bootstrap.write_text(BOOTSTRAP)
    venv = checkout.environment(folder)
    assert venv.is_relative_to(tmp_path / "cache") and (venv / "bin" / "python").exists()
    assert checkout.environment(folder) == venv
    assert (folder / "made").read_text() == "made\n"
