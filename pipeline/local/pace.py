"""How much of the time that AWS spends waiting is really waited here.

PIPELINE_LOCAL_WAIT_SCALE (default 0.05) multiplies what only waits: Wait states and retry intervals, waits
of a rollout, cooldowns and periods of scaling, the idle time of a serverless process. 30 s become 1.5 s; 1
is AWS's own pace. Timeouts and heartbeats are never scaled, they guard real work.
"""

from __future__ import annotations

import math
import os

WAIT_SCALE_VARIABLE = "PIPELINE_LOCAL_WAIT_SCALE"
DEFAULT_WAIT_SCALE = 0.05


def wait_scale() -> float:
    """The factor from the environment; a value that is no finite number >= 0 counts as the default."""
    try:
        scale = float(os.environ.get(WAIT_SCALE_VARIABLE, DEFAULT_WAIT_SCALE))
    except ValueError:
        return DEFAULT_WAIT_SCALE
    return scale if math.isfinite(scale) and scale >= 0 else DEFAULT_WAIT_SCALE
