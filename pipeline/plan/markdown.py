"""Text from a repository as Markdown that stays text: no markup, no mention, no link, no way out. Pure.

GitHub links @names, #numbers, addresses and commits in prose, even where they are written as entities, but
not in code. So whatever is not ours stands in code: a span, or a fenced block.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence

# Categories of characters that are not seen or that turn the direction of what is seen.
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    """`text` on one line, with characters that hide or reorder others written as `\\u202e`."""
    return "".join(
        f"\\u{ord(c):04x}" if unicodedata.category(c) in UNSEEN else c for c in re.sub(r"\s+", " ", text)
    )


def code(text: str, longest: int = 300) -> str:
    """A code span, for prose and for table cells."""
    plain = _short(visible(text), longest)
    if not plain.strip():
        return "` `"
    if "|" in plain:
        # A cell ends at a bar, also inside a span; HTML's code takes it as an entity.
        return f"<code>{entities(plain)}</code>"
    fence = "`" * (_longest_run(plain) + 1)
    pad = " " if plain[0] == "`" or plain[-1] == "`" else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def entities(text: str) -> str:
    """Every sign that Markdown or HTML could read, as an entity. For use inside HTML's `code`."""
    return re.sub(r"[^\w .,:/-]|_", lambda m: f"&#{ord(m[0])};", visible(text))


def block(lines: Iterable[str], kind: str = "", longest: int = 600) -> str:
    """A fenced block of `kind` (`diff`, `text`), its fence longer than any in its lines."""
    shown = [_short(_indent(line) + visible(line).lstrip(), longest) for line in lines]
    fence = "`" * max(3, max((_longest_run(line) for line in shown), default=0) + 1)
    return "\n".join([f"{fence}{kind}", *shown, fence])


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells come as Markdown (see `code`)."""
    lines = [f"| {' | '.join(headers)} |", f"|{'---|' * len(headers)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def details(title: str, body: str, *, opened: bool = False) -> str:
    """A part that folds; `title` is ours."""
    state = " open" if opened else ""
    return f"<details{state}><summary>{html.escape(title)}</summary>\n\n{body}\n\n</details>"


def _indent(line: str) -> str:
    return " " * min(len(line) - len(line.lstrip(" ")), 40)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
