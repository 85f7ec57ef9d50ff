"""A pipeline's copy under another name: what stands for the name is renamed, and nothing else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pipeline import scaffold
from pipeline.errors import SettingsError
from tests.conftest import REPOSITORY


def root_of(tmp_path: Path, source: str) -> Path:
    """A repository with one pipeline."""
    for folder in (f"pipeline/definitions/{source}", f"container/{source}", f"glue_scripts/{source}"):
        if (REPOSITORY / folder).is_dir():
            leave = shutil.ignore_patterns("__pycache__", ".pipeline", "wheelhouse", "sample")
            shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=leave)
    return tmp_path


def texts(root: Path, made: scaffold.Made) -> dict[str, str]:
    files = [path for folder in made.folders for path in (root / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_text(encoding="utf-8", errors="replace") for path in files}


@pytest.mark.parametrize("name", ["nuclei", "mask_rcnn-2", "my_cells"])
def test_a_copy_of_mask_rcnn_has_its_own_name_everywhere(tmp_path: Path, name: str) -> None:
    root = root_of(tmp_path, "mask_rcnn")
    found = texts(root, scaffold.make(root, name, "mask_rcnn"))
    settings = found[f"pipeline/definitions/{name}/settings.toml"]
    module = name.replace("-", "_")
    assert f"pipeline settings {name}\n" in settings
    assert f"s3://<bucket>/{name}/<channel prefix>" in settings
    assert f"# {name}: finds" in settings and f'container = "{module}"' in settings
    assert f"<title>{name}: evaluation</title>" in found[f"container/{module}/{module}_program/page.py"]
    dockerfile = found[f"container/{module}/Dockerfile"]
    assert f"# The image of {name}:" in dockerfile
    assert dockerfile.count(f"{name.replace('_', '-')}-serve") == 2
    left = {
        line.strip()
        for text in found.values()
        for line in text.splitlines()
        if re.search(r"\bmask[_-]rcnn(?![\w-])", line)
    }
    # The module of torchvision is called so, whoever uses it.
    assert all("torchvision.models.detection.mask_rcnn" in line for line in left), left
    assert left


def test_a_name_that_is_also_the_datas_is_left_where_it_means_them(tmp_path: Path) -> None:
    root = root_of(tmp_path, "mnist")
    found = texts(root, scaffold.make(root, "digits", "mnist"))
    settings = found["pipeline/definitions/digits/settings.toml"]
    assert "pipeline settings digits\n" in settings and "s3://<bucket>/digits/" in settings
    assert "pipeline monitor digits --now" in settings and "docs/explanation/mnist.md" in settings
    assert "<title>digits: evaluation</title>" in found["container/digits/digits_program/page.py"]
    assert "mnist.csv" in found["pipeline/definitions/digits/make_sample.py"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x", "too short"),
        ("x" * 32, "32 characters, 1 too many"),
        ("2x", "it begins with '2'"),
        ("my shop!", "it has ' ', '!'"),
    ],
)
def test_a_name_that_is_none_is_told_why_and_the_limits(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(says)) as refused:
        scaffold.make(tmp_path, name, "iris")
    assert "2 to 31 lower case letters, digits, hyphens and underscores" in (refused.value.hint or "")


def test_a_long_name_gives_a_user_that_useradd_takes(tmp_path: Path) -> None:
    root = root_of(tmp_path, "iris")
    name = "a" * 25 + "-bcdef"
    found = texts(root, scaffold.make(root, name, "iris"))
    users = re.findall(r"\ba[\w-]*-serve\b", found[f"container/{'a' * 25}_bcdef/Dockerfile"])
    assert len(users) == 2 and max(map(len, users)) <= 32
