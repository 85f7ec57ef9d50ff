"""What the server imports late can be imported late."""

from __future__ import annotations

import importlib.util

import pytest

from pipeline.local.adapter import imports


@pytest.mark.parametrize("name", sorted(imports.LAZY))
def test_nothing_with_parts_waits(name: str) -> None:
    """A package that waits gets its parts twice: `except docker.errors.X` did not catch docker's own X."""
    spec = importlib.util.find_spec(name)
    assert spec is None or spec.submodule_search_locations is None
