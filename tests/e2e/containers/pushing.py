"""A process that builds and pushes `tiny` into a running target, for a test to kill: PATH ROOT ENDPOINT."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.local import LocalTarget
from tests.e2e.containers.conftest import Containers

_, _, root, endpoint = sys.argv
up = LocalTarget(endpoint, 0, Path(root) / ".pipeline/local")
Containers(Path(root), up).ensure("tiny")
