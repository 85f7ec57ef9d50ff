"""Time in executions: timestamps as the API gives them, and how much of a Wait's seconds is really waited.

PIPELINE_LOCAL_WAIT_SCALE (default 0.05) multiplies Wait states and retry intervals: 30 s become 1.5 s.
1 is AWS's own pace. Timeouts and heartbeats are never scaled, they guard real work.
"""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime

WAIT_SCALE_VARIABLE = "PIPELINE_LOCAL_WAIT_SCALE"
DEFAULT_WAIT_SCALE = 0.05


def now_iso() -> str:
    """The moment, in milliseconds, e.g. 2026-11-22T14:01:02.345Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def wait_scale() -> float:
    """The factor from the environment; a value that is no finite number >= 0 counts as the default."""
    try:
        scale = float(os.environ.get(WAIT_SCALE_VARIABLE, DEFAULT_WAIT_SCALE))
    except ValueError:
        return DEFAULT_WAIT_SCALE
    return scale if math.isfinite(scale) and scale >= 0 else DEFAULT_WAIT_SCALE
