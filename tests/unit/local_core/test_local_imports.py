"""What the server imports late can be imported late."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.adapter import imports


@pytest.mark.parametrize("name", sorted(imports.LAZY))
def test_nothing_with_parts_waits(name: str) -> None:
    """A package that waits gets its parts twice: `except docker.errors.X` did not catch docker's own X."""
    spec = importlib.util.find_spec(name)
    assert spec is None or spec.submodule_search_locations is None


def test_who_uses_it_while_it_is_loaded_waits_until_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late_one.py").write_text(
        "import time\nCOUNT = globals().get('COUNT', 0) + 1\ntime.sleep(0.3)\nLAST = 'here'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(imports, "LAZY", frozenset({"late_one"}))
    monkeypatch.setattr(sys, "meta_path", [imports._Finder(), *sys.meta_path])
    module: Any = importlib.import_module("late_one")
    try:
        assert importlib.import_module("late_one") is module
        assert "COUNT" not in object.__getattribute__(module, "__dict__"), "importing it is no use of it"
        seen: list[Any] = []

        def use() -> None:
            try:
                seen.append((module.LAST, module.COUNT))
            except AttributeError as error:
                seen.append(error)

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [("here", 1)] * 4
        assert type(module) is type(sys)
    finally:
        del sys.modules["late_one"]


def test_what_fails_to_load_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "late_two.py").write_text("raise RuntimeError('not today')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(imports, "LAZY", frozenset({"late_two"}))
    monkeypatch.setattr(sys, "meta_path", [imports._Finder(), *sys.meta_path])
    module: Any = importlib.import_module("late_two")
    try:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="not today"):
                _ = module.anything
    finally:
        del sys.modules["late_two"]
