"""The run's arguments, as AWS Glue gives them: `--NAME value`, read by Glue's own getResolvedOptions."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from awsglue.utils import getResolvedOptions

from common.errors import ScriptError

OF_THE_CONTRACT = ("JOB_NAME", "OUTPUT_PATH", "FINGERPRINT")


def resolve(names: Sequence[str], defaults: Mapping[str, str]) -> dict[str, str]:
    """The contract's arguments and the script's own.

    Args:
        names: own arguments that must be given.
        defaults: own arguments that may be left out, and what they are then.

    Raises:
        awsglue.utils.GlueArgumentError: one is missing; the text names it.
    """
    given = [name for name in defaults if is_given(name)]
    found = getResolvedOptions(sys.argv, [*OF_THE_CONTRACT, *names, *given])
    return {**defaults, **{name: found[name] for name in (*OF_THE_CONTRACT, *names, *given)}}


def path_of(channel: str) -> str:
    """Where a channel lies: `--RATINGS_PATH` for `ratings`, an `s3://` prefix or a manifest's address."""
    name = f"{argument(channel)}_PATH"
    if not is_given(name):
        raise ScriptError(f"channel {channel!r} was not given (--{name}): add it to its transform's `reads`")
    value: str = getResolvedOptions(sys.argv, [name])[name]
    return value


def argument(name: str) -> str:
    """The name of a channel or a dataset as arguments have it: upper case, `-` as `_`."""
    return name.upper().replace("-", "_")


def quality() -> dict[str, Any]:
    """The rules of [transforms.….quality] by channel or dataset; none were declared: {}."""
    if not is_given("QUALITY"):
        return {}
    rules: dict[str, Any] = json.loads(getResolvedOptions(sys.argv, ["QUALITY"])["QUALITY"])
    return rules


def is_given(name: str) -> bool:
    """Whether `--NAME value` or `--NAME=value` stands among the arguments."""
    return any(word == f"--{name}" or word.startswith(f"--{name}=") for word in sys.argv)
