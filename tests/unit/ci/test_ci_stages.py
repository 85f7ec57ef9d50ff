"""Where a merge goes and where a release goes, from who promotes from whom."""

from __future__ import annotations

import pytest

from pipeline.ci.stages import Stages, of


@pytest.mark.parametrize(
    ("sources", "wanted"),
    [
        ({"dev": None, "staging": None, "production": "staging"}, Stages(("staging",), ("production",))),
        (
            {"production": "staging", "staging": "dev", "dev": None},
            Stages(("dev",), ("staging", "production")),
        ),
        ({"staging": None, "eu": "staging", "us": "staging"}, Stages(("staging",), ("eu", "us"))),
        ({"dev": None, "other": None}, Stages(("dev",), ())),
        ({"only": None}, Stages(("dev",), ())),
    ],
)
def test_stages(sources: dict[str, str | None], wanted: Stages) -> None:
    assert of(sources, "dev") == wanted
