"""The container's own packages, importable as in its image."""

from __future__ import annotations

import sys
from pathlib import Path

CONTAINER = Path(__file__).resolve().parents[3] / "container"
for folder in (CONTAINER, CONTAINER / "mask_rcnn"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
