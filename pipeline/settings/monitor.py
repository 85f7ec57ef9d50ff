"""What is kept of an endpoint's requests, and how they are compared with the training data, typed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.settings.base import Model

ContentType = Annotated[
    str,
    # SageMaker's pattern of CsvContentType and JsonContentType (CaptureContentTypeHeader).
    Field(
        pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*/[a-zA-Z0-9](-*[a-zA-Z0-9.])*$",
        max_length=256,
        description="such as text/csv",
    ),
]
Share = Annotated[float, Field(gt=0, le=1)]


class Capture(Model):
    """Requests and answers of the endpoint that are kept in S3 (SageMaker's data capture).

    They lie under `s3://<bucket>/<pipeline>-<environment>/capture/`. Off unless `percent` is set or [monitor]
    is there.
    """

    percent: (
        Annotated[int, Field(ge=0, le=100, description="of requests; default: 100 with [monitor], else 0")]
        | None
    ) = None
    content: Annotated[
        list[Literal["input", "output"]], Field(min_length=1, description="what is kept of each")
    ] = ["input", "output"]
    csv_types: Annotated[list[ContentType], Field(max_length=10, description="kept as text")] = ["text/csv"]
    json_types: Annotated[
        list[ContentType], Field(max_length=10, description="kept as text; all else in base64")
    ] = ["application/json", "application/jsonlines"]


class Limits(Model):
    """What a feature may differ from its baseline; more is drift. A measure without a limit is not judged."""

    psi: Annotated[float, Field(gt=0, description="population stability index, over tenths")] | None = None
    ks: Annotated[Share, Field(description="largest distance of cumulative shares; of numbers")] | None = None
    nulls: Annotated[Share, Field(description="difference of the shares of null")] | None = None
    new_categories: (
        Annotated[Share, Field(description="share of values in categories the baseline does not have")] | None
    ) = None
    missing_categories: (
        Annotated[Share, Field(description="share that categories had which are gone now")] | None
    ) = None


class Feature(Limits):
    """One thing that is watched: an expression over a request, and the same over the training data.

    Spark SQL expressions. One that gives an array counts each of its elements. Numbers are compared as
    numbers, texts and truth values as categories.
    """

    request: Annotated[
        str,
        Field(
            min_length=1,
            description="over body, answer, content_type, answer_type, columns (the body split at commas)",
        ),
    ]
    training: (
        Annotated[
            str,
            Field(
                min_length=1,
                description="over the columns of the training channel (headerless CSV: _c0, _c1, ...); "
                "without it the first comparison with enough requests becomes the baseline",
            ),
        ]
        | None
    ) = None


class MonitorSchedule(Model):
    """When the requests are compared by themselves."""

    expression: Annotated[
        str, Field(pattern=r"^(cron|rate)\(.+\)$", description="cron(0 * * * ? *) or rate(1 hour)")
    ] = "cron(15 * * * ? *)"
    timezone: str = "UTC"
    enabled: bool = False


class Monitor(Model):
    """The scheduled comparison of requests with the training data of the model that serves.

    It is a state machine of its own, `<pipeline>-<environment>-monitor`.
    """

    features: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")], Feature],
        Field(min_length=1, max_length=50),
    ]
    limits: Annotated[Limits, Field(description="of features that do not set their own")] = Limits(
        psi=0.25, ks=0.15, nulls=0.05, new_categories=0.05
    )
    channel: Annotated[str, Field(description="training channel that is the baseline")] = "train"
    window_hours: Annotated[int, Field(ge=1, le=720, description="of requests that a comparison reads")] = 24
    minimum_requests: Annotated[int, Field(ge=30, description="records below which nothing is concluded")] = (
        1000
    )
    retrain: Annotated[bool, Field(description="start a run when the drift passes a limit")] = True
    again_after_days: Annotated[
        int, Field(ge=1, le=90, description="until drift of the same model may start another run")
    ] = 7
    schedule: MonitorSchedule = MonitorSchedule()
