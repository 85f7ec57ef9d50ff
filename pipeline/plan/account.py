"""The plan of an account's stack alone: what all its pipelines share, and who may deploy them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pipeline.aws import stacks
from pipeline.plan import desired, registry
from pipeline.plan.model import StackAction

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings


def compute(settings: Settings, clients: Clients) -> StackAction:
    """What would happen to the stack of the account that `settings` are in."""
    wanted = desired.account(settings)
    by_type = functools.partial(registry.replaces, region=clients.region)
    return desired.action(wanted, stacks.read(clients, wanted.name), by_type)
