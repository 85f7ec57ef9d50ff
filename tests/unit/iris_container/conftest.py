"""Makes the container's modules importable; what needs LightGBM is tested in the container's own venv."""

from __future__ import annotations

import sys
from pathlib import Path

CONTAINER = Path(__file__).resolve().parents[3] / "container" / "iris"
if str(CONTAINER) not in sys.path:
    sys.path.insert(0, str(CONTAINER))
