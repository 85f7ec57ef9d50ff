"""What the data of a transform must be like, before anything is trained on it, typed.

[transforms.X.quality.NAME] is about one frame: a channel that the transform reads, or a dataset it makes.
The rules are computed by glue_scripts/common/quality.py; drift by the Lambda gate_data, from profiles.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.settings.base import Model
from pipeline.settings.monitor import Limits

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Columns = list[Annotated[str, Field(min_length=1)]]
FrameName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_-]{1,30}$", description="a channel of `reads`, or a dataset")
]


class BadRows(Model):
    """How many rows may break a rule. Those that do are kept in quarantine; with more the run ends."""

    bad_rows: Annotated[Count, Field(description="at most so many")] | None = None
    bad_share: Annotated[Share, Field(description="at most this share of all rows")] | None = None


class ColumnRule(BadRows):
    """One column's rule, or with a name like `/pixel[0-9]+/` that of all columns it matches.

    Of an array column, `minimum` to `pattern` are about each element. A missing value breaks none of them.
    """

    type: (
        Annotated[
            str, Field(min_length=1, description="Spark's name of it: int, double, string, array<short>")
        ]
        | None
    ) = None
    required: Annotated[bool, Field(description="a row without a value is bad")] | None = None
    minimum: Annotated[float, Field(description="a row below it is bad")] | None = None
    maximum: Annotated[float, Field(description="a row above it is bad")] | None = None
    allowed: (
        Annotated[
            list[str | int | float | bool],
            Field(min_length=1, max_length=1000, description="a row with another value is bad"),
        ]
        | None
    ) = None
    pattern: (
        Annotated[str, Field(min_length=1, description="regular expression that the whole text matches")]
        | None
    ) = None
    width: Annotated[int, Field(ge=1, description="elements that an array must have")] | None = None
    nulls: Annotated[Share, Field(description="share of missing values that is allowed")] | None = None


class Leakage(Model):
    """Features that give the label away. What is computed: docs/explanation/data-quality.md."""

    correlation: (
        Annotated[Share, Field(description="largest |Pearson correlation| of a number with the label")] | None
    ) = 0.98
    purity: (
        Annotated[Share, Field(description="largest share of labels that one feature alone tells")] | None
    ) = 0.99
    ignore: Annotated[Columns, Field(description="columns that training does not see")] = []


class DataDrift(Limits):
    """What columns may differ from the data of the newest approved model."""

    psi: Annotated[float, Field(gt=0, description="population stability index, over tenths")] | None = 0.25
    ignore: Annotated[Columns, Field(description="columns that may change")] = []
    action: Annotated[
        Literal["stop", "tell"], Field(description="what drift does: end the run, or be told and go on")
    ] = "stop"


class FrameQuality(BadRows):
    """What one frame must be like. Without a limit of bad rows, 1 % may be bad."""

    minimum_rows: Annotated[int, Field(ge=1, description="good rows")] | None = None
    maximum_rows: Annotated[int, Field(ge=1, description="good rows")] | None = None
    columns: dict[Annotated[str, Field(min_length=1)], ColumnRule] = {}
    key: Annotated[
        Columns, Field(description="columns that no two rows share; the further rows are bad")
    ] = []
    duplicates: Annotated[BadRows, Field(description="limit of rows that repeat a key")] | None = None
    apart_from: Annotated[
        list[FrameName], Field(description="frames that share no key with this one, such as train")
    ] = []
    apart_key: Annotated[Columns, Field(description="the key meant by apart_from; default: key")] = []
    shared_rows: Annotated[Count, Field(description="rows that may share a key all the same")] | None = None
    label: Annotated[str, Field(min_length=1, description="column that is to be learnt")] | None = None
    leakage: Leakage | None = None
    drift: DataDrift | None = None
    profile_ignore: Annotated[Columns, Field(description="columns that are not profiled")] = []


Quality = dict[FrameName, FrameQuality]
