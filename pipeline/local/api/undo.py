"""What a stack's change did to records, so that it can be taken back if the server is killed in its midst.

Records are written at once, the other services' states only when no stack is being changed (see
`pipeline.local.adapter.state`). Between the two lies this: the records' files as they were before.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

_FILE = "undo.jsonl"


class UndoLog:
    """Files under a folder as they were before a change. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def note(self, folder: Path, file: Path) -> None:
        """Keep what `file` (below `folder`) holds now; call it before the change."""
        before = file.read_text(encoding="utf-8") if file.exists() else None
        line = json.dumps({"file": str(file.relative_to(folder)), "before": before})
        with self._lock:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / _FILE).open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")

    def size(self, folder: Path) -> int:
        """Bytes noted so far."""
        with self._lock:
            path = folder / _FILE
            return path.stat().st_size if path.exists() else 0

    def forget(self, folder: Path, size: int) -> None:
        """The changes noted in the first `size` bytes will not be taken back any more."""
        with self._lock:
            path = folder / _FILE
            if not size or not path.exists():
                return
            rest = path.read_bytes()[size:]
            if rest:
                temporary = path.with_suffix(".tmp")
                temporary.write_bytes(rest)
                temporary.replace(path)
            else:
                path.unlink()

    def roll_back(self, folder: Path) -> int:
        """Put everything noted back, last first; how many files that were. Before the first read of any."""
        with self._lock:
            path = folder / _FILE
            if not path.exists():
                return 0
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            # A line without its end was being written: its change had not begun.
            noted = [json.loads(line) for line in lines if line.endswith("\n")]
            for entry in reversed(noted):
                file = folder / entry["file"]
                if entry["before"] is None:
                    file.unlink(missing_ok=True)
                else:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(entry["before"], encoding="utf-8")
            path.unlink()
            return len(noted)
