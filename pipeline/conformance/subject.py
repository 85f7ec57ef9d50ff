"""What is tested: an image, and the data, settings and request it is tested with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# botocore's model of InvokeEndpoint: its Body is at most this many bytes.
LARGEST_BODY = 6_291_456


@dataclass(frozen=True)
class Channel:
    """One input of training: a folder of files, and the content type the job says they have."""

    folder: Path
    content_type: str = ""


@dataclass(frozen=True)
class Request:
    """One request that a healthy endpoint answers with 200."""

    body: bytes
    content_type: str
    accept: str = ""


@dataclass(frozen=True)
class Subject:
    """The image under test and its inputs.

    Args:
        name: for people.
        channels: of the training job; empty when there is no sample data, then `train` is not tested.
        hyperparameters: names to strings, as SageMaker hands them over.
        request: None when there is none, then what needs one is not tested.
        environment: variables of the job and of the endpoint.
        model: an unpacked model to serve in place of the one that `train` makes.
    """

    name: str
    channels: Mapping[str, Channel] = field(default_factory=dict)
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    request: Request | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    model: Path | None = None


@dataclass(frozen=True)
class Waits:
    """How long is waited for what, in seconds. The defaults are SageMaker's, but for `start`.

    Args:
        train: for one training run with the sample data.
        start: for the first 200 of /ping. SageMaker waits 8 minutes.
        ping: for one answer of /ping.
        invoke: for one answer of /invocations.
        stop: between SIGTERM and SIGKILL.
        settle: for the first good answer of a server that was healthy before it could give one.
        prompt: for the end of an idle server after SIGTERM.
    """

    train: float = 900.0
    start: float = 120.0
    ping: float = 2.0
    invoke: float = 60.0
    stop: float = 30.0
    settle: float = 10.0
    prompt: float = 5.0
