"""What a model must reach, typed: bounds of its metrics, and how it compares with the model that serves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.settings.base import Model


class GateRule(Model):
    """One metric of the held-out evaluation, by name: the bound it must meet, and how it must compare.

    With `[champion] compare` its improvement over the model that serves must be `margin` or more. `doubt`
    says who has the benefit of the doubt where the held-out rows cannot tell: the `challenger` passes unless
    it is shown to improve by less than the margin, the `champion` stays unless it is shown to be beaten by
    more.
    """

    metric: Annotated[str, Field(min_length=1, description="name in evaluation.json, such as accuracy")]
    minimum: float | None = None
    maximum: float | None = None
    compare: Annotated[bool, Field(description="with the champion, if [champion] compare is on")] = True
    better: (
        Annotated[
            Literal["higher", "lower"],
            Field(description="default: higher with a minimum, lower with a maximum, not compared with both"),
        ]
        | None
    ) = None
    margin: Annotated[
        float, Field(description="improvement asked for; 0: not worse; negative: so much worse is tolerated")
    ] = 0.0
    doubt: Literal["challenger", "champion"] = "challenger"


class Champion(Model):
    """The comparison of each new model with the one that serves, on the same held-out rows."""

    compare: bool = True
    confidence: Annotated[float, Field(ge=0.6, le=0.999, description="of what counts as shown")] = 0.95
    resamples: Annotated[int, Field(ge=200, le=10_000, description="of the bootstrap")] = 1000
    when_unknown: Annotated[
        Literal["reject", "thresholds"],
        Field(
            description="a champion that cannot be compared: reject the new model, or let its bounds decide"
        ),
    ] = "reject"
