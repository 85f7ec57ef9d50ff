"""Makes the containers' shared folders importable."""

from __future__ import annotations

import sys
from pathlib import Path

CONTAINERS = Path(__file__).resolve().parents[3] / "container"
if str(CONTAINERS) not in sys.path:
    sys.path.insert(0, str(CONTAINERS))
