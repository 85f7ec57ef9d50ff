"""What is desired of an image that the workflow itself builds, in CodeBuild, instead of `pipeline apply`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.settings.base import Model


class Build(Model):
    """The machine that runs the container's own `buildspec.yml`.

    The image is built once for each content of the container's folder; a run that finds it builds nothing.
    """

    compute: Annotated[
        Literal["small", "medium", "large", "xlarge", "2xlarge"],
        Field(description="CodeBuild's BUILD_GENERAL1_*: 2, 4, 8, 36 or 72 vCPUs"),
    ] = "medium"
    image: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][A-Za-z0-9_.:/@-]+$",
            max_length=512,
            description="what the buildspec's commands run in; it has docker and the AWS CLI",
        ),
    ] = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
    arguments: Annotated[
        dict[
            Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")],
            Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,:/@+=-]{1,256}$")],
        ],
        Field(description="build arguments of the Dockerfile; the image's tag tells them"),
    ] = {}
    timeout_minutes: Annotated[int, Field(ge=5, le=480, description="of the build itself")] = 60
    queue_minutes: Annotated[int, Field(ge=5, le=480, description="it may wait for a machine")] = 60
