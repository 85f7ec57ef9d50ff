"""One request to the endpoint, and its answer or the reason why there is none."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.aws.errors import code, message, told
from pipeline.errors import ExecutionError, SettingsError

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

CONTENT_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".npy": "application/x-npy",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".txt": "text/plain",
}


# Never text, even where the bytes happen to be some.
_BINARY = ("image/", "audio/", "video/", "application/octet-stream")


@dataclass(frozen=True)
class Answer:
    """What the model said, byte for byte. `latency_ms`: from our side, network included."""

    content: bytes
    content_type: str
    variant: str
    latency_ms: float

    @property
    def text(self) -> str | None:
        """The answer as text; None if it is none (an image, an array, another encoding than UTF-8)."""
        if self.content_type.lower().startswith(_BINARY) or b"\0" in self.content:
            return None
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            return None

    def as_dict(self) -> dict[str, Any]:
        """As JSON data; `encoding` says whether `body` is the text itself or base64 of the bytes."""
        text = self.text
        return {
            "body": base64.b64encode(self.content).decode() if text is None else text,
            "encoding": "base64" if text is None else "text",
            "content_type": self.content_type,
            "variant": self.variant,
            "latency_ms": self.latency_ms,
        }


def read_body(text: str | None, file: str | None, stdin: BinaryIO) -> tuple[bytes | None, str | None]:
    """The request's body and the content type that the file's name tells; None for what is not given."""
    if text is not None:
        return text.encode(), None
    if file is None:
        return None, None
    if file == "-":
        return stdin.read(), None
    path = Path(file)
    try:
        return path.read_bytes(), CONTENT_TYPES.get(path.suffix.lower())
    except OSError as error:
        raise SettingsError(f"cannot read the body: {error.strerror}", where=file) from error


def invoke(
    settings: Settings,
    clients: Clients,
    *,
    body: bytes | None = None,
    content_type: str | None = None,
    accept: str | None = None,
    variant: str | None = None,
) -> Answer:
    """Send `body` (default: the smoke request of the settings).

    Raises:
        ExecutionError: no endpoint serves, or the model refused the request; the text says which.
    """
    from botocore.exceptions import ClientError

    smoke = settings.pipeline.smoke
    request: dict[str, Any] = {
        "EndpointName": settings.stack_name,
        "Body": smoke.content if body is None else body,
        "ContentType": content_type or smoke.content_type,
        "Accept": accept or smoke.accept,
    }
    if variant:
        request["TargetVariant"] = variant
    with told(clients.target.name):
        began = time.perf_counter()
        try:
            answer = clients.sagemaker_runtime.invoke_endpoint(**request)
            content = answer["Body"].read()
        except ClientError as error:
            refused = _refused(settings, clients, error)
            if refused is None:
                raise
            raise refused from error
        took = (time.perf_counter() - began) * 1000
    return Answer(
        content,
        answer.get("ContentType", ""),
        answer.get("InvokedProductionVariant", ""),
        round(took, 2),
    )


def _refused(settings: Settings, clients: Clients, error: Any) -> ExecutionError | None:
    name = settings.stack_name
    if code(error) == "ModelError":
        status = error.response.get("OriginalStatusCode", "")
        return ExecutionError(
            f"the model answered {status}: {error.response.get('OriginalMessage') or message(error)}",
            where=f"endpoint {name}",
            hint=f"see its log: pipeline logs {settings.name} endpoint --tail 20",
        )
    if code(error) not in {"ValidationError", "ValidationException"}:
        return None
    described = describe(settings, clients)
    if described is None:
        return ExecutionError(
            "there is no endpoint yet: no run has deployed a model",
            where=f"endpoint {name}",
            hint=f"pipeline run {settings.name} --follow",
        )
    return ExecutionError(
        f"{message(error)} (it is {described['EndpointStatus']})",
        where=f"endpoint {name}",
        hint=f"pipeline status {settings.name}",
    )


def describe(settings: Settings, clients: Clients) -> dict[str, Any] | None:
    """DescribeEndpoint of the pipeline's endpoint; None if there is none."""
    from botocore.exceptions import ClientError

    try:
        found: dict[str, Any] = clients.sagemaker.describe_endpoint(EndpointName=settings.stack_name)
    except ClientError as error:
        # SageMaker has no code of its own for this.
        if code(error) == "ValidationException" and "Could not find" in message(error):
            return None
        raise
    return found
