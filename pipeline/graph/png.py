"""A picture as PNG: the SVG drawn with letters of our own, so it is the same on every machine."""

from __future__ import annotations

# Two pixels a unit: sharp on the screens of today, and still small.
ZOOM = 2.0


def png(svg: str, zoom: float = ZOOM) -> bytes:
    """The SVG as PNG, `zoom` pixels a unit. No font and no library of the system is used."""
    import resvg_py
    from font_roboto import font_files

    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg,
            zoom=zoom,
            skip_system_fonts=True,
            font_files=[font_files["Roboto"], font_files["RobotoBold"]],
            font_family="Roboto",
            sans_serif_family="Roboto",
        )
    )
