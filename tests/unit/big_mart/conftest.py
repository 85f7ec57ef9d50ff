"""Makes the container's modules importable; what needs XGBoost is tested in the container's own venv."""

from __future__ import annotations

import sys
from pathlib import Path

CONTAINERS = Path(__file__).resolve().parents[3] / "container"
# In the image the shared folders lie beside the program; here they are one folder up.
for folder in (CONTAINERS / "big_mart", CONTAINERS):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
