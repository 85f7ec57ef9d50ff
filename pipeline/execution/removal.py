"""What every removal shares: whose it is, what it has done, and how one thing is taken away."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, message
from pipeline.names import Names

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

Say = Callable[[str], None]
# How AWS's services say that something is not there.
GONE = frozenset(
    {"ResourceNotFound", "ResourceNotFoundException", "RepositoryNotFoundException", "NoSuchBucket", "404"}
)
GONE_TEXT = ("Could not find", "does not exist", "not found")


@dataclass
class Down:
    """What was removed and what is left (each a line: kind, name, and why for what is left)."""

    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def made_by_runs(settings: Settings) -> re.Pattern[str]:
    """Names that this stack's runs give: `iris-dev-<YYYYMMDD>-<8 hex>` and what follows.

    Those of a search and its training jobs are `iris-dev-<8 hex>-<digits>` and what follows, of batches
    `iris-dev-batch-<14 digits>-<4 hex>`.
    """
    # The digits keep `iris-dev` apart from a pipeline that is called `iris-dev-...`.
    stack, tuning = re.escape(settings.stack_name), re.escape(Names.of(settings).tuning)
    return re.compile(
        rf"{stack}-\d{{8}}-[0-9a-f]{{8}}(-.*)?"
        rf"|{tuning}-[0-9a-f]{{8}}-\d{{2,3}}(-\d{{3}}-[0-9a-f]{{8}})?"
        rf"|{stack}-batch-\d{{14}}-[0-9a-f]{{4}}"
    )


class Removal:
    """One down: what it is about, and what it has done so far."""

    def __init__(self, settings: Settings, clients: Clients, say: Say, done: Down) -> None:
        self.settings, self.clients, self.say, self.done = settings, clients, say, done
        self.name = settings.stack_name
        self.ours = made_by_runs(settings)

    def take(self, kind: str, name: str, call: Callable[..., Any], **request: Any) -> bool:
        """One removal; what is gone already is fine, what cannot go is told at the end."""
        try:
            call(**request)
        except ClientError as error:
            if not is_gone(error):
                self.done.left.append(f"{kind} {name}: {message(error)}")
            return False
        self.done.removed.append(f"{kind} {name}")
        return True


def is_gone(error: ClientError) -> bool:
    """Whether AWS refused because the thing is not there."""
    return code(error) in GONE or any(text in message(error) for text in GONE_TEXT)
