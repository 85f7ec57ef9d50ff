"""How to bring your own pipeline, typed as it stands, beside a deployed iris."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess

import pytest

from tests.conftest import REPOSITORY, Cli
from tests.docs.test_docs import commands

PAGE = REPOSITORY / "docs/how-to/bring-your-own-pipeline.md"


@pytest.mark.slow
def test_a_second_pipeline_as_the_page_says(cli: Cli) -> None:
    cli("apply", "iris", "--yes")
    folder = cli.root / "pipeline/definitions/flowers"
    settings = folder / "settings.toml"
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    typed = commands(PAGE)
    assert len(typed) >= 14
    for line in typed:
        words = shlex.split(line)
        if words[0] == "cp":
            subprocess.run(words, cwd=cli.root, check=True)
            continue
        arguments = words[1:]
        if arguments[0] == "settings":
            # Section 1: what must change.
            text = settings.read_text().replace('container = "iris"', 'container = "flowers"')
            settings.write_text(text.replace("\n[data]\n", '\n[data]\nprefix = "flowers/"\n'))
        if "my-data/" in arguments:
            shutil.copytree(folder / "sample", cli.root / "my-data")
        if "--force" in arguments:
            assert "NoteModel" in (folder / "definition.py").read_text()
        done = cli(*arguments)
        if arguments[0] == "settings":
            assert "never run: pipeline apply flowers" in cli("status").stdout
        if "my-data/" in arguments:
            (folder / "definition.py").write_text(example)  # section 4 follows
        if arguments[0] == "invoke":
            assert "virginica" in done.stdout
        if "--force" in arguments:
            assert re.search(r"ok NoteModel", done.stdout + done.stderr)
    listed = json.loads(cli("data", "flowers", "list", "--json").stdout)
    assert "/flowers/input-data-training/" in json.dumps(listed)
    assert "virginica" not in cli("data", "iris", "list").stdout
    report = cli("status").stdout
    assert re.search(r"flowers-dev +not deployed", report)
    assert re.search(r"iris-dev +CREATE_COMPLETE|iris-dev +UPDATE_COMPLETE", report)
