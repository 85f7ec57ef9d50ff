"""Content-Type and Accept: what a request is, how it is answered best, and in which words it is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .errors import RequestError


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


def accepted(accept: str, offered: Sequence[str]) -> str:
    """As `choose`. Raises RequestError 406, which names what is offered."""
    kind = choose(accept, offered)
    if kind is None:
        raise RequestError(406, f"Accept {accept!r} cannot be met; {', '.join(offered)} can")
    return kind


def unread(content_type: str | None, read: Iterable[str]) -> RequestError:
    """The 415 of a Content-Type that is none of those that are read."""
    given = f"Content-Type {content_type!r} is not read" if content_type else "no Content-Type was given"
    return RequestError(415, f"{given}; {', '.join(read)} are")


def as_text(body: str | bytes) -> str:
    """A body as text, without a byte order mark. Raises RequestError 400 when it is not UTF-8."""
    if isinstance(body, str):
        return body.removeprefix("\ufeff")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the body is not UTF-8 text (byte {error.start})") from None


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
