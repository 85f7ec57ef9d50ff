"""A first run where things are tried out: what is not there yet is applied, and data put there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.apply import apply
from pipeline.aws import stacks
from pipeline.aws.errors import told
from pipeline.execution import data
from pipeline.plan import compute

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

Say = Callable[[str], None]


def make_ready(settings: Settings, clients: Clients, say: Say) -> None:
    """Where the environment's settings say `sandbox = true`, see to what a run cannot do without.

    What is deployed stays as it is, be the working tree different or not; data that is there, too. So a
    second run finds nothing to do here.
    """
    if not settings.environment.sandbox:
        return
    with told(clients.target.name):
        deployed = stacks.describe(clients, settings.stack_name) is not None
    if not deployed:
        say(f"{settings.stack_name} is not deployed, and this is a sandbox: applying")
        apply(compute(settings, clients), settings, clients, say)
    if not data.listing(settings, clients):
        objects = data.put(settings, clients, day=data.parse_day(None), say=say)
        size = sum(item.bytes for item in objects)
        say(f"there was no data: put the sample, {len(objects)} objects, {size:,} bytes")
