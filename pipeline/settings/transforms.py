"""What is desired of a pipeline's transforms, Glue jobs or programs of its container: what they read and run.

WorkerType: https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-jobs-job.html; of its values these are
for Spark jobs that end, as botocore's model of glue has them. Timeout: at most 7 days (10,080 minutes).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.settings.base import Model
from pipeline.settings.quality import Quality

# No hyphen: the name is also a field of the run's data, `$.transforms.<name>`.
TransformName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_]{1,30}$", description="lower case, digits and underscores")
]
ArgumentName = Annotated[
    str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$", description="letters, digits and underscores")
]


class TransformCapacity(Model):
    """Where the Glue jobs run. None of it changes what they make, but `glue_version` may."""

    glue_version: Annotated[
        Literal["5.0", "5.1"], Field(description="5.1 is Spark 3.5.6 with Python 3.11, 5.0 Spark 3.5.4")
    ] = "5.1"
    worker_type: Annotated[
        Literal["G.1X", "G.2X", "G.4X", "G.8X"],
        Field(description="G.1X is one DPU: 4 vCPUs and 16 GB; the others are 2, 4 and 8 of them"),
    ] = "G.1X"
    workers: Annotated[int, Field(ge=2, le=299, description="one of them is the driver")] = 2
    timeout_minutes: Annotated[int, Field(ge=1, le=10080)] = 60


class Transform(Model):
    """What training or evaluation reads is made of what there is: in Spark, or by the pipeline's container.

    With `script` it is a Glue job, `<pipeline>-<environment>-<name>`; with `program` a SageMaker Processing
    job of the container's image, on an instance as [processing] has it.
    """

    script: (
        Annotated[
            str,
            Field(
                pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)+\.py$",
                description="file under glue_scripts/, such as iris/features.py",
            ),
        ]
        | None
    ) = None
    program: (
        Annotated[
            str,
            Field(
                pattern=r"^[a-z][a-z0-9_]{0,40}$",
                description="program of the container instead of a script, such as preprocess",
            ),
        ]
        | None
    ) = None
    reads: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}$")]],
        Field(
            min_length=1,
            description='channels with use = "transform"; a script is given them as --<CHANNEL>_PATH, a '
            "program finds them as folders",
        ),
    ]
    arguments: Annotated[
        dict[ArgumentName, str | int | float | bool],
        Field(description="given to the script or program as --<name> <value>"),
    ] = {}
    quality: Annotated[
        Quality,
        Field(description="what the frames that a script reads and makes must be like; their rules by name"),
    ] = {}
