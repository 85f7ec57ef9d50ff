"""Whether two patterns with * and ? can mean the same text, as a granted and a needed resource do."""

from __future__ import annotations

import functools
import re

_UNKNOWN = re.compile(r"\$\{[^}]*\}")


def overlap(one: str, other: str) -> bool:
    """Whether some text fits both patterns; `${…}`, a value known only later, may be anything.

    Two values that are unknown as a whole are the same only if they have the same name.
    """
    if one == other:
        return True
    if _UNKNOWN.fullmatch(one) and _UNKNOWN.fullmatch(other):
        return False
    return _overlap(_UNKNOWN.sub("*", one), _UNKNOWN.sub("*", other))


@functools.lru_cache(maxsize=65536)
def _overlap(one: str, other: str) -> bool:
    if not one or not other:
        return not one.strip("*") and not other.strip("*")
    if one[0] == "*":
        return _overlap(one[1:], other) or _overlap(one, other[1:])
    if other[0] == "*":
        return _overlap(one, other[1:]) or _overlap(one[1:], other)
    if one[0] == other[0] or "?" in (one[0], other[0]):
        return _overlap(one[1:], other[1:])
    return False
