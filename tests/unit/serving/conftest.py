"""Makes the serving stack importable; what needs its event loop and parser is tested in tests/e2e/serving."""

from __future__ import annotations

import sys
from pathlib import Path

CONTAINERS = str(Path(__file__).resolve().parents[3] / "container")
if CONTAINERS not in sys.path:
    sys.path.insert(0, CONTAINERS)
