"""What is desired of a training by a built-in algorithm of SageMaker instead of the container's `train`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.settings.base import Model


class Algorithm(Model):
    """The algorithm that trains. The pipeline's container evaluates and serves what it makes."""

    name: Annotated[str, Field(min_length=1, description="such as xgboost; as the SageMaker SDK calls it")]
    version: Annotated[
        str,
        Field(
            pattern=r"^[0-9][\w.-]{0,20}$",
            description='such as "3.0-5", whose models every XGBoost since 1.7 loads; those of 1.7-1 are of '
            "the old binary format, which XGBoost 3.1 dropped",
        ),
    ] = "3.0-5"
