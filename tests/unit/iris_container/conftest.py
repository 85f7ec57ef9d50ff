"""Makes the container's modules importable; what needs LightGBM is tested in the container's own venv."""

from __future__ import annotations

import sys
from pathlib import Path

CONTAINERS = Path(__file__).resolve().parents[3] / "container"
# In the image the serving stack lies beside the program; here it is one folder up.
for folder in (CONTAINERS / "iris", CONTAINERS):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
