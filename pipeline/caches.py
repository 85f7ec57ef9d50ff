"""Where what is known by its content is kept: one folder a user, shared by all clones.

Nothing in it is state. Every entry's name is a hash of all that it was made from, so a fresh clone, a second
checkout or the next push finds what an earlier one made, and deleting the whole folder only costs time.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def folder(kind: str) -> Path:
    """`~/.cache/gitops-ml-pipeline/<kind>`, or below $XDG_CACHE_HOME; it need not exist yet."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "gitops-ml-pipeline" / kind


def write(entry: Path, text: str, keep: int = 500) -> None:
    """Write an entry whole or not at all, and forget the oldest but `keep`. Never an error."""
    with contextlib.suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=entry.parent, suffix=".tmp", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        Path(file.name).replace(entry)
        entries = sorted(entry.parent.glob(f"*{entry.suffix}"), key=lambda path: path.stat().st_mtime)
        for path in entries[:-keep]:
            path.unlink(missing_ok=True)
