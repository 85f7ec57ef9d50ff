"""What a running local target says about itself to `pipeline local up` and `status`."""

from __future__ import annotations

import importlib
import os
from typing import Any

from pipeline.local import options
from pipeline.local.runner import current as current_runner


def told() -> dict[str, str]:
    """The options this server was started with."""
    scale = os.environ.get(options.WAIT_SCALE) or "default"
    return {**{name: options.chosen(name) for name in options.CHOICES}, options.WAIT_SCALE: scale}


def about() -> dict[str, Any]:
    """How programs run, and what becomes of network isolation. The first time it tries this machine out."""
    isolation = importlib.import_module("pipeline.local.sagemaker.isolation")
    return {"runner": current_runner().describe(), "network_isolation": isolation.described()}
