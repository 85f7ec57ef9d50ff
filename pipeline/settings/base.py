"""What every settings model is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """Frozen; an unknown key is an error; nothing is converted: "3" is not 3, true is not 1, nan is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


InstanceType = Annotated[
    str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$", description="such as ml.m5.large")
]
