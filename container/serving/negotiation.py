"""Content-Type and Accept: the media type of the one, the best answer to the other."""

from __future__ import annotations

from collections.abc import Sequence


def media_type(header: str | None) -> str:
    """`text/csv` of `Text/CSV; charset=utf-8`; `` of None."""
    return header.partition(";")[0].strip().lower() if header else ""


def choose(accept: str, offered: Sequence[str]) -> str | None:
    """The media type of `offered` that an Accept header likes best, by quality and then by its order.

    A wildcard takes the first that matches. None: none of them is accepted.
    """
    best: tuple[float, int, str] | None = None
    wanted = [part for part in accept.split(",") if part.strip()] or ["*/*"]
    refused = {media_type(part) for part in wanted if _quality(part) == 0}
    for position, part in enumerate(wanted):
        quality = _quality(part)
        if quality <= 0:
            continue
        for name in offered:
            if name not in refused and _matches(media_type(part), name):
                if best is None or (quality, -position) > best[:2]:
                    best = (quality, -position, name)
                break
    return best[2] if best else None


def _quality(part: str) -> float:
    """The q of one range; 1 when absent or not a number."""
    for parameter in part.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0


def _matches(wanted: str, name: str) -> bool:
    return wanted in ("*/*", "*", name, f"{name.partition('/')[0]}/*")
