"""Intrinsic functions of the states language, written so that quoting cannot go wrong."""

from __future__ import annotations


def fmt(template: str, *paths: str) -> str:
    """`States.Format('<template>', <paths>)`, for a key that ends in `.$`; `{}` stands for a path."""
    if template.count("{}") != len(paths):
        raise ValueError(f"{template!r} has {template.count('{}')} places for {len(paths)} paths")
    quoted = template.replace("\\", "\\\\").replace("'", "\\'")
    return f"States.Format({', '.join([f_quote(quoted), *paths])})"


def f_quote(text: str) -> str:
    """Text as a literal of the states language; it must be escaped already."""
    return f"'{text}'"


def plus_one(path: str) -> str:
    """`States.MathAdd(<path>, 1)`."""
    return f"States.MathAdd({path}, 1)"
