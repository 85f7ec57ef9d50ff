"""What is impossible about transforms and the channels that they read and make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.names import path_argument
from pipeline.settings.toml_file import Key

Problem = tuple[Key, str, str]

# The other names that a run's fingerprints and results go by, in the same places.
TAKEN = {"all", "bundle", "champion", "evaluate", "evaluation", "model", "monitor", "train", "training"}
# What the container is asked for by other steps, or by SageMaker itself.
OTHER_PROGRAMS = {"bundle", "evaluate", "serve", "train"}
# Folders of a processing job that are not a channel's.
FOLDERS = {"model", "output"}
# What the state machine gives to every script, and of Glue's own parameters those that are one word:
# https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-glue-arguments.html
RESERVED = {
    *("OUTPUT_PATH", "FINGERPRINT", "QUALITY", "GLUE_VERSION"),
    *("JOB_NAME", "JOB_ID", "JOB_RUN_ID", "SECURITY_CONFIGURATION"),
    *("class", "conf", "debug", "encryption_type", "mode", "scriptLocation", "TempDir"),
}


def transform_problems(channels: dict[str, Any], transforms: dict[str, Any]) -> Iterator[Problem]:
    """Problems of the merged tables `data.channels` and `transforms`."""
    yield from _sources(channels, transforms)
    for name, transform in transforms.items():
        if name in TAKEN:
            yield ("transforms", name), f"{name!r} is a name of the run's own", "choose another name"
        if isinstance(transform, dict):
            yield from _kind(name, transform)
            yield from _reads(name, transform, channels)
            yield from _arguments(name, transform)
    yield from _circles(channels, transforms)


def _sources(channels: dict[str, Any], transforms: dict[str, Any]) -> Iterator[Problem]:
    for name, channel in channels.items():
        if not isinstance(channel, dict):
            continue
        key = ("data", "channels", name)
        maker = channel.get("made_by")
        if maker is None and "prefix" not in channel:
            yield (*key, "prefix"), "a value is missing", 'add prefix = "…", or made_by = "<transform>"'
        elif maker is not None and "prefix" in channel:
            what = "a channel has a prefix or is made by a transform, not both"
            yield (*key, "made_by"), what, "drop one of them"
        elif isinstance(maker, str) and maker not in transforms:
            known = ", ".join(transforms) or f"none; add [transforms.{maker}]"
            yield (*key, "made_by"), f"{maker!r} is no transform of this pipeline", f"transforms: {known}"
        if channel.get("sharded") and channel.get("use", "train") != "train":
            what = "only a channel of the training is shared among its hosts"
            yield (*key, "sharded"), what, 'drop it, or say use = "train"'


def _kind(name: str, transform: dict[str, Any]) -> Iterator[Problem]:
    """Glue runs a script, SageMaker a program of the container: one of the two."""
    key = ("transforms", name)
    if "script" not in transform and "program" not in transform:
        hint = 'add script = "<folder>/<file>.py" (Glue), or program = "<name>" (the container)'
        yield (*key, "script"), "a value is missing", hint
    elif "script" in transform and "program" in transform:
        what = "a transform is a Glue script or a program of the container, not both"
        yield (*key, "program"), what, "drop one of them"
    elif "program" in transform:
        program = transform["program"]
        if program in OTHER_PROGRAMS:
            what = f"{program!r} is run by another step"
            yield (*key, "program"), what, "name a program of its own, such as preprocess"
        if transform.get("quality"):
            what = "rules of quality are applied by the library of the Glue scripts"
            hint = "let the program refuse such data, saying why: it fails the run with its words"
            yield (*key, "quality"), what, hint


def _reads(name: str, transform: dict[str, Any], channels: dict[str, Any]) -> Iterator[Problem]:
    reads = transform.get("reads")
    for index, read in enumerate(reads if isinstance(reads, list) else []):
        if not isinstance(read, str):
            continue
        key = ("transforms", name, "reads", index)
        channel = channels.get(read)
        if channel is None:
            yield key, f"{read!r} is no channel of [data]", f"channels: {', '.join(channels) or 'none'}"
        elif isinstance(channel, dict) and channel.get("use", "train") != "transform":
            yield key, f'channel {read!r} has not use = "transform"', 'set its use = "transform"'
        elif "script" in transform and "-" in read and isinstance(channel, dict) and channel.get("prefix"):
            # AWS takes the path $.run.channels['a-b'].uri; statelint, which definitions pass, does not.
            what = f"a channel that a Glue script reads has no hyphen in its name: {read!r}"
            hint = f"lower-case letters and digits, such as {read.replace('-', '')}, here and in the script"
            yield ("data", "channels", read), what, hint
        elif "program" in transform and read in FOLDERS:
            yield key, f"{read!r} is a folder of the job's own", "choose another name for the channel"


def _arguments(name: str, transform: dict[str, Any]) -> Iterator[Problem]:
    arguments, reads = transform.get("arguments"), transform.get("reads")
    taken = (
        {path_argument(read) for read in reads if isinstance(read, str)} if isinstance(reads, list) else set()
    )
    for argument in arguments if isinstance(arguments, dict) else ():
        if argument in RESERVED | taken:
            what = f"--{argument} is given by the state machine or by Glue itself"
            yield ("transforms", name, "arguments", argument), what, "choose another name"


def _circles(channels: dict[str, Any], transforms: dict[str, Any]) -> Iterator[Problem]:
    """Transforms that read what they make, by whichever way."""

    def before(name: str) -> set[str]:
        transform = transforms.get(name)
        reads = _texts(transform.get("reads")) if isinstance(transform, dict) else []
        made = [channels[read] for read in reads if isinstance(channels.get(read), dict)]
        return set(_texts([channel.get("made_by") for channel in made]))

    for name in transforms:
        seen: set[str] = set()
        waiting = before(name)
        while waiting - seen:
            step = min(waiting - seen)
            seen.add(step)
            waiting |= before(step)
        if name in seen:
            yield ("transforms", name, "reads"), f"{name!r} reads what it makes itself", "break the circle"


def _texts(items: Any) -> list[str]:
    """Those of a list's items that are texts; whatever else stands there is another error."""
    return [item for item in items if isinstance(item, str)] if isinstance(items, list) else []
