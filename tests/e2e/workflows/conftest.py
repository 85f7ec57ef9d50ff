"""One world a module: the services are started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.workflows.harness import World, worlds


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with worlds(tmp_path_factory.mktemp("workflows")) as made:
        yield made
