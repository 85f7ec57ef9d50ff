"""Several files replaced at one stroke: a server killed meanwhile leaves all of them old, or all new."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_JOURNAL = "commit.json"


def replace(path: Path, text: str) -> None:
    """Write one file so that whoever reads it sees the old text or the new one. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError:
        # What a full disk took of it would keep it full.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write(folder: Path, texts: Mapping[str, str], note: Any = None) -> None:
    """Replace all of these files, by name, in `folder`. `note` is what `finish` gives if it has to go on.

    Raises:
        OSError: nothing was replaced, or what is missing is made up for by `finish`.
    """
    journal = folder / _JOURNAL
    replace(journal, json.dumps({"files": dict(texts), "note": note}))
    for name, text in texts.items():
        replace(folder / name, text)
    journal.unlink()


def finish(folder: Path) -> Any:
    """Complete what a killed server had begun to write; the note that was left with it, else None."""
    journal = folder / _JOURNAL
    try:
        begun = json.loads(journal.read_text())
    except FileNotFoundError:
        return None
    for name, text in begun["files"].items():
        replace(folder / name, text)
    journal.unlink()
    return begun["note"]
