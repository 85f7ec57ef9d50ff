"""What would change, as data: computed by comparison, written to a file, held against a later state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import SettingsError
from pipeline.plan.file import dump, parse
from pipeline.plan.model import Plan
from pipeline.plan.same import require_same

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

__all__ = ["Plan", "compute", "dump", "load", "parse", "require_same"]


def compute(settings: Settings, clients: Clients) -> Plan:
    """What `apply` would do now."""
    from pipeline.plan.planner import compute as compute_now

    return compute_now(settings, clients)


def load(file: Path) -> Plan:
    """The plan in `file`.

    Raises:
        SettingsError: the file cannot be read.
        ApplyError: it is not a plan as it was written.
    """
    try:
        text = file.read_text()
    except OSError as error:
        raise SettingsError(
            f"cannot read the plan: {error.strerror}", where=str(file), hint="pipeline plan NAME --out FILE"
        ) from error
    return parse(text, str(file))
