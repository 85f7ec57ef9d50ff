"""Where wheels are looked for besides the package index."""

from __future__ import annotations

from pathlib import Path

from pipeline.local.runner import wheels

LOCK = """\
numpy==2.4.6 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
torch==2.13.0 ; sys_platform != 'linux' \\
    --hash=sha256:cc
torch==2.13.0+cpu ; sys_platform == 'linux' \\
    --hash=sha256:dd \\
    --hash=sha256:ee
    # via -r requirements.in
torchvision==0.28.0 \\
    --hash=sha256:ff
"""


def test_the_lines_of_pytorchs_own_builds_are_taken_whole() -> None:
    assert wheels.for_cpu(LOCK) == (
        "torch==2.13.0+cpu ; sys_platform == 'linux' \\\n    --hash=sha256:dd \\\n    --hash=sha256:ee\n"
    )
    assert wheels.for_cpu(LOCK.replace("+cpu", "")) == ""


def test_folders_are_those_that_pip_was_told_of(tmp_path: Path) -> None:
    for name in ("by-variable", "by-file", "by-install"):
        (tmp_path / name).mkdir()
    file = tmp_path / "pip.conf"
    file.write_text(
        f"[global]\nfind-links = {tmp_path}/by-file\n    {tmp_path}/missing\n"
        f"[install]\nfind-links = {tmp_path}/by-install\n"
    )
    environ = {"PIP_CONFIG_FILE": str(file), "PIP_FIND_LINKS": f"{tmp_path}/by-variable {tmp_path}/by-file"}
    found = wheels.find_links(environ, tmp_path)
    assert found == [str(tmp_path / name) for name in ("by-variable", "by-file", "by-install")]


def test_a_configuration_that_pip_could_not_read_names_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("find-links = nowhere\n")
    assert wheels.find_links({"PIP_CONFIG_FILE": str(file)}, tmp_path) == []
