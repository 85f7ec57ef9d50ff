"""AWS's regular expressions are Java's; this makes Python match the same strings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

# Java's \uXXXX\uXXXX surrogate pair range for everything beyond the basic plane.
_SURROGATE_RANGE = r"\uD800\uDC00-\uDBFF\uDFFF"
_SUPPLEMENTARY = r"\U00010000-\U0010FFFF"
_PROPERTY = re.compile(r"\\p\{(\w+)\}")
_POSIX = {"Alnum": "a-zA-Z0-9", "ASCII": r"\x00-\x7F", "Print": r"\x20-\x7E"}


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Callable[[str], object]:
    """A function that is true when the whole string matches, as Java's `matches()` is."""
    return re.compile(translate(pattern)).fullmatch


def translate(pattern: str) -> str:
    r"""Java's syntax as Python's: \p{..} classes, \z, surrogate ranges, quantified `$`."""
    text = pattern.replace(_SURROGATE_RANGE, _SUPPLEMENTARY)
    text = re.sub(r"\$\{\d+,\d+\}$", "$", text).replace(r"\z", r"\Z")
    return _PROPERTY.sub(lambda found: _class(found, text), text)


def _class(found: re.Match[str], text: str) -> str:
    """A property's ranges, in brackets of their own where it does not stand in a class already."""
    ranges = _POSIX.get(found[1]) or _categories()[found[1]]
    before = re.sub(r"\\.", "", text[: found.start()])
    return ranges if before.rfind("[") > before.rfind("]") else f"[{ranges}]"


@lru_cache(maxsize=1)
def _categories() -> dict[str, str]:
    """Ranges of the basic plane for each major Unicode category; what lies beyond counts as letters."""
    ranges: dict[str, list[list[int]]] = {}
    for point in range(0x10000):
        major = unicodedata.category(chr(point))[0]
        spans = ranges.setdefault(major, [])
        if spans and spans[-1][1] == point - 1:
            spans[-1][1] = point
        else:
            spans.append([point, point])
    text = {major: "".join(f"\\u{a:04x}-\\u{b:04x}" for a, b in spans) for major, spans in ranges.items()}
    text["L"] += _SUPPLEMENTARY
    return text
