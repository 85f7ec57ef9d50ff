"""A picture as PNG: the SVG drawn with letters of our own, so it is the same on every machine."""

from __future__ import annotations

import re

# Two pixels a unit: sharp on the screens of today, and still small.
ZOOM = 2.0
# Pixels; viewers, chats and pull requests take pictures of this size, and not always larger ones.
LONGEST = 2500
_SIDES = re.compile(r'<svg\b[^>]*?\bwidth="([\d.]+)"[^>]*?\bheight="([\d.]+)"')


def fitting(svg: str) -> float:
    """Pixels a unit: `ZOOM`, or as many as keep both sides within `LONGEST` pixels."""
    found = _SIDES.search(svg)
    if found is None:
        return ZOOM
    return min(ZOOM, LONGEST / max(float(found[1]), float(found[2]), 1.0))


def png(svg: str, zoom: float | None = None) -> bytes:
    """The SVG as PNG, `zoom` pixels a unit (None: `fitting`). No font, no library of the system is used."""
    import resvg_py
    from font_roboto import font_files

    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg,
            zoom=fitting(svg) if zoom is None else zoom,
            skip_system_fonts=True,
            font_files=[font_files["Roboto"], font_files["RobotoBold"]],
            font_family="Roboto",
            sans_serif_family="Roboto",
        )
    )
