"""What an image is tested with: a pipeline's settings and sample, overridden by what was given by hand."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.conformance.subject import Channel, Request, Subject
from pipeline.errors import SettingsError


@dataclass(frozen=True)
class Given:
    """What the command line says; empty where it says nothing."""

    channels: Sequence[str] = ()
    hyperparameters: Sequence[str] = ()
    environment: Sequence[str] = ()
    request: Path | None = None
    content_type: str = ""
    accept: str = ""
    model: Path | None = None


def of_pipeline(settings: Any, sample: Callable[[], Path]) -> Subject:
    """What a pipeline's settings and its sample describe: training channels and the smoke request.

    A channel that a transform makes has no sample: then the training is tested on given folders alone.

    Args:
        sample: gives the folder of the sample, which may take long.
    """
    pipeline = settings.pipeline
    trained_on = {name: c for name, c in pipeline.data.channels.items() if c.use == "train"}
    channels: dict[str, Channel] = {}
    if not any(channel.made_by for channel in trained_on.values()):
        folder = sample()
        channels = {name: Channel(folder / name, c.content_type) for name, c in trained_on.items()}
    for name, channel in channels.items():
        if not channel.folder.is_dir():
            raise SettingsError(
                f"there is no sample of channel {name!r} to train with",
                where=str(channel.folder),
                hint=f"put a few files there, or give --channel {name}=FOLDER",
            )
    return Subject(
        name=settings.name,
        channels=channels,
        hyperparameters={key: _text(value) for key, value in pipeline.hyperparameters.items()},
        request=Request(pipeline.smoke.content, pipeline.smoke.content_type, pipeline.smoke.accept),
    )


def with_given(subject: Subject, given: Given, workspace: Path) -> Subject:
    """`subject` with what was given by hand in place of, or beside, its own.

    Raises:
        SettingsError: a file is missing, or a pair is none.
    """
    channels = dict(subject.channels)
    for name, folder in _pairs(given.channels, "--channel").items():
        if not Path(folder).is_dir():
            raise SettingsError(f"{folder} is no folder", where="--channel")
        kept = channels.get(name)
        channels[name] = Channel(Path(folder), kept.content_type if kept else given.content_type)
    return replace(
        subject,
        channels=channels,
        hyperparameters={**subject.hyperparameters, **_pairs(given.hyperparameters, "--hyperparameter")},
        environment={**subject.environment, **_pairs(given.environment, "--env")},
        request=_request(subject.request, given),
        model=_model(given.model, workspace) if given.model else subject.model,
    )


def _request(own: Request | None, given: Given) -> Request | None:
    if given.request is None:
        if own is None:
            return None
        return Request(own.body, given.content_type or own.content_type, given.accept or own.accept)
    if not given.content_type:
        raise SettingsError(
            "a request needs its type", where="--request", hint="such as --content-type text/csv"
        )
    try:
        body = given.request.read_bytes()
    except OSError as error:
        raise SettingsError(f"{given.request}: {error.strerror}", where="--request") from None
    return Request(body, given.content_type, given.accept)


def _model(given: Path, workspace: Path) -> Path:
    if given.is_dir():
        return given
    to = workspace / "given-model"
    try:
        with tarfile.open(given, "r:gz") as packed:
            packed.extractall(to, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise SettingsError(
            f"{given} is neither a folder nor a model.tar.gz: {error}", where="--model"
        ) from None
    return to


def _pairs(given: Sequence[str], option: str) -> Mapping[str, str]:
    found = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise SettingsError(f"{pair!r} is not NAME=VALUE", where=option)
        found[name] = value
    return found


def _text(value: str | int | float | bool) -> str:
    # As the definition writes them: booleans as JSON and TOML do.
    return str(value).lower() if isinstance(value, bool) else str(value)
