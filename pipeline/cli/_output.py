"""What the verbs print with: tables, colours where a terminal wants them, JSON, a question."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from pipeline.errors import PipelineError

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Give `parser` --json."""
    parser.add_argument("--json", action="store_true", help="machine-readable output on stdout")


def coloured(stream: TextIO) -> bool:
    """Whether `stream` takes colours: a terminal, without NO_COLOR, or FORCE_COLOR."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in a style of CODES, if the stream takes it."""
    if not style or not coloured(stream or sys.stdout):
        return text
    return f"\x1b[{CODES[style]}m{text}\x1b[0m"


def print_json(data: Any) -> None:
    """`data` on stdout, readable; dates as ISO text."""
    print(json.dumps(data, indent=2, default=_plain, ensure_ascii=False))


def table(rows: Iterable[Sequence[Any]], headers: Sequence[str] = (), indent: str = "") -> str:
    """Columns aligned to the left; the last one as long as it likes."""
    cells = [[str(value) for value in row] for row in rows]
    everything = ([list(headers)] if headers else []) + cells
    if not everything:
        return ""
    widths = [
        max(len(row[i]) for row in everything if i < len(row)) for i in range(max(map(len, everything)))
    ]
    lines = []
    for number, row in enumerate(everything):
        line = (
            indent + "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=False)).rstrip()
        )
        lines.append(paint(line, "bold") if headers and number == 0 else line)
    return "\n".join(lines)


def say(text: str = "") -> None:
    """Progress for a person: stderr, at once, so that stdout stays the answer."""
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def confirm(question: str, yes: bool) -> bool:
    """True with --yes or a typed y. Without a terminal nobody can answer, so that is an error."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise PipelineError(
            "nobody to ask: stdin is not a terminal", hint="add --yes to go on without a question"
        )
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def duration(seconds: float) -> str:
    """0.4 s, 12.3 s, 3 m 05 s, 2 h 04 m."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} m"


def size(count: float) -> str:
    """512 B, 1.5 KB, 3.0 MB."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
