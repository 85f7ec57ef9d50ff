"""The image's build: its context by content, the CodeBuild project that builds it, and the project's role.

A state machine that starts builds tells each of them its source, so that a run builds what it was started
with; the project itself names the newest, for whoever starts a build by hand.
"""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import DefinitionError
from pipeline.image.address import build_arguments, image_tag
from pipeline.image.context import BUILDSPEC, context_files
from pipeline.names import BUILD_ARGUMENTS, BUILD_REPOSITORY, BUILD_TAG, Names
from pipeline.render.context import Context, Resource, get, ref
from pipeline.render.functions import log_group
from pipeline.render.lambdas import EPOCH, MADE_ON_UNIX
from pipeline.render.model import LambdaPackage
from pipeline.render.statement import Statement, allow

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

ROLE = "BuildRole"
# CloudFormation's and CodeBuild's name of a machine's size.
_COMPUTE = "BUILD_GENERAL1_{}"


def package(settings: Settings) -> LambdaPackage | None:
    """The container's folder with the shared ones it uses, as CodeBuild takes it; None without [build].

    Raises:
        DefinitionError: the folder has no Dockerfile, or no buildspec.
    """
    if settings.pipeline.build is None:
        return None
    name = settings.pipeline.container
    folder = Path(settings.root) / "container" / name
    for file in ("Dockerfile", BUILDSPEC):
        if not (folder / file).is_file():
            raise DefinitionError(
                f"[build] has the workflow build container/{name}, which has no {file}",
                where=f"container/{name}/{file}",
                hint="write it (docs/how-to/build-in-the-workflow.md), or drop [build]",
            )
    return LambdaPackage(f"context of {name}", _zipped(context_files(folder)))


def _zipped(files: dict[str, Path]) -> bytes:
    """Stored, not compressed, because zlib's output differs between its versions."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files.items():
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system = MADE_ON_UNIX
            if path.is_symlink():
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
                archive.writestr(info, path.readlink().as_posix())
                continue
            # Of the mode only what counts in the image's tag.
            executable = path.stat().st_mode & 0o100
            info.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
            archive.writestr(info, path.read_bytes())
    return buffer.getvalue()


def location(settings: Settings) -> dict[str, Any]:
    """`{"repository", "tag", "variables", "context": <bucket>/<key>}` for definitions; {} without [build].

    `variables` are what the buildspec is told, and all that it need be told.
    """
    made = package(settings)
    if made is None:
        return {}
    folder = Path(settings.root) / "container" / settings.pipeline.container
    given = settings.pipeline.build.arguments if settings.pipeline.build else None
    arguments = build_arguments(folder, settings.project.base_image, given)
    repository = f"{settings.project.name}/{settings.pipeline.container}"
    tag = image_tag(folder, arguments)
    return {
        "repository": repository,
        "tag": tag,
        "context": f"{settings.artifact_bucket}/{made.key}",
        "variables": {
            BUILD_REPOSITORY: f"{Names.of(settings).registry}/{repository}",
            BUILD_TAG: tag,
            BUILD_ARGUMENTS: " ".join(f"--build-arg {k}={v}" for k, v in sorted(arguments.items())),
        },
    }


def resources(context: Context) -> dict[str, Resource]:
    """The project and its log; nothing without [build]."""
    given, names = context.settings.pipeline.build, context.names
    if given is None:
        return {}
    place = location(context.settings)
    return {
        "BuildLogGroup": log_group(context, names.build_log_group),
        "BuildProject": {
            "Type": "AWS::CodeBuild::Project",
            "Properties": {
                "Name": names.build,
                "Description": f"Builds container/{context.settings.pipeline.container} for {names.stack}",
                "ServiceRole": get(ROLE),
                "Source": {"Type": "S3", "Location": place["context"], "BuildSpec": BUILDSPEC},
                "Artifacts": {"Type": "NO_ARTIFACTS"},
                "Environment": {
                    "Type": "LINUX_CONTAINER",
                    "ComputeType": _COMPUTE.format(given.compute.upper()),
                    "Image": given.image,
                    # Docker's daemon inside the build needs it.
                    "PrivilegedMode": True,
                    "EnvironmentVariables": [
                        {"Name": name, "Value": value, "Type": "PLAINTEXT"}
                        for name, value in place["variables"].items()
                    ],
                },
                "TimeoutInMinutes": given.timeout_minutes,
                "QueuedTimeoutInMinutes": given.queue_minutes,
                "LogsConfig": {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": ref("BuildLogGroup")}},
                "Tags": context.tags,
            },
        },
    }


def statements(context: Context) -> list[Statement]:
    """What a build may do: read the context, write its log, push into the container's repository.

    https://docs.aws.amazon.com/codebuild/latest/userguide/setting-up-service-role.html,
    https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
    """
    names, bucket = context.names, context.names.artifact_bucket
    own = names.arn("ecr", f"repository/{names.project}/{context.settings.pipeline.container}")
    streams = names.arn("logs", f"log-group:{names.build_log_group}:log-stream:*")
    return [
        allow(["s3:GetObject", "s3:GetObjectVersion"], names.bucket_arn(bucket, "code/*")),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], streams),
        allow(
            [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            own,
        ),
        allow("ecr:GetAuthorizationToken", "*"),
    ]
