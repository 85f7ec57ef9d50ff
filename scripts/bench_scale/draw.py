"""The measured figures as Markdown tables and as an SVG of two curves: time and memory over rows."""

from __future__ import annotations

import html
import itertools
import math
from typing import Any

COLOURS = {
    "spark": "#d9622b",
    "pandas": "#5b3b8c",
    "polars": "#2b6cb0",
    "duckdb": "#8a6d00",
    "spark, whole transform": "#7a2f0d",
}
NAMES = {"spark": "Spark", "pandas": "pandas", "polars": "Polars", "duckdb": "DuckDB"}
WIDTH, HEIGHT, LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT = 860, 400, 62, 44, 330, 290
Series = dict[str, list[tuple[float, float]]]


def rows_name(rows: int) -> str:
    """`10 million`."""
    return f"{rows // 1_000_000} million" if rows >= 1_000_000 else f"{rows // 1000} thousand"


def series(measured: dict[str, Any], which: str) -> Series:
    """engine -> (rows, figure) in order, of what ended."""
    found: Series = {}
    for run in measured["runs"]:
        if which in run:
            found.setdefault(run["engine"], []).append((run["rows"], run[which]))
    return {name: sorted(points) for name, points in found.items()}


def table(measured: dict[str, Any]) -> str:
    """Seconds and memory a size and engine, with ratios to Spark's processor seconds within the same size."""
    sizes = sorted({run["rows"] for run in measured["runs"]})
    by = {(run["rows"], run["engine"]): run for run in measured["runs"]}
    lines = [
        "| Rows | Spark | pandas | Polars | DuckDB | Spark, whole transform |",
        "|---|---|---|---|---|---|",
    ]
    for rows in sizes:
        spark = by.get((rows, "spark"), {}).get("cpu_seconds")
        cells = [rows_name(rows)]
        for engine in ("spark", "pandas", "polars", "duckdb", "spark, whole transform"):
            run = by.get((rows, engine))
            cells.append(_cell(run, spark if engine in NAMES and engine != "spark" else None))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(run: dict[str, Any] | None, spark: float | None) -> str:
    if run is None:
        return "-"
    if "failed" in run:
        return str(run["failed"])
    text = f"{run['seconds']:.1f} s, {run['cpu_seconds']:.1f} CPU s, {run['peak_mb'] / 1000:.1f} GB"
    return f"{text} ({run['cpu_seconds'] / spark:.2f} x)" if spark else text


def growth(measured: dict[str, Any]) -> str:
    """How figures grow from each size to the next: the exponent, 1 where they grow as the data does."""
    lines = ["| From, to | | " + " | ".join(COLOURS) + " |", "|---|---|" + "---|" * len(COLOURS)]
    times, memory = series(measured, "cpu_seconds"), series(measured, "peak_mb")
    sizes = sorted({run["rows"] for run in measured["runs"]})
    for before, after in itertools.pairwise(sizes):
        for what, of in (("CPU", times), ("memory", memory)):
            cells = []
            for engine in COLOURS:
                points = dict(of.get(engine, []))
                both = before in points and after in points
                exponent = math.log(points[after] / points[before]) / math.log(after / before) if both else 0
                cells.append(f"{exponent:.2f}" if both else "-")
            lines.append(f"| {rows_name(before)}, {rows_name(after)} | {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def workers(measured: dict[str, Any]) -> str:
    """What Glue workers would buy by Amdahl's law, from one core and two."""
    one, two = measured["cores"]["1"], measured["cores"]["2"]
    share = min(max(2 * (1 - two / one), 0.0), 1.0)
    lines = [
        f"One core {one:.1f} s, two cores {two:.1f} s, {rows_name(measured['cores']['rows'])} rows: "
        f"by Amdahl's law {share:.0%} of the work is parallel.",
        "",
        "| Workers G.1X | vCPUs that execute | x faster than one core, on paper | DPU seconds, on paper |",
        "|---|---|---|---|",
    ]
    for count in (2, 3, 5, 10, 20):
        executing = 4 * (count - 1)  # one worker is the driver's
        seconds = one * ((1 - share) + share / executing)
        lines.append(f"| {count} | {executing} | {one / seconds:.1f} | {seconds * count:.0f} |")
    return "\n".join(lines)


def svg(measured: dict[str, Any]) -> str:
    """Two log-log plots side by side."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>Seconds and memory of the transform over the number of ratings</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_plot(LEFT, "seconds", series(measured, "seconds")),
        *_plot(LEFT + PLOT_WIDTH + 90, "MB, most held at once", series(measured, "peak_mb")),
    ]
    x = LEFT
    for name, colour in COLOURS.items():
        if any(run["engine"] == name for run in measured["runs"]):
            label = NAMES.get(name, name[0].upper() + name[1:])
            parts.append(f'<rect x="{x}" y="{HEIGHT - 22}" width="14" height="4" fill="{colour}"/>')
            parts.append(f'<text x="{x + 20}" y="{HEIGHT - 15}">{html.escape(label)}</text>')
            x += 50 + 7 * len(label)
    return "\n".join([*parts, "</svg>", ""])


def _plot(left: int, title: str, lines: Series) -> list[str]:
    points = [point for each in lines.values() for point in each]
    if not points:
        return []
    x_low, x_high = (
        math.floor(math.log10(min(p[0] for p in points))),
        math.ceil(math.log10(max(p[0] for p in points))),
    )
    y_low, y_high = (
        math.floor(math.log10(min(p[1] for p in points))),
        math.ceil(math.log10(max(p[1] for p in points))),
    )
    x_high, y_high = max(x_high, x_low + 1), max(y_high, y_low + 1)

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = left + PLOT_WIDTH * (math.log10(point[0]) - x_low) / (x_high - x_low)
        y = TOP + PLOT_HEIGHT * (1 - (math.log10(point[1]) - y_low) / (y_high - y_low))
        return round(x, 1), round(y, 1)

    parts = [f'<text x="{left}" y="{TOP - 16}" font-weight="600">{html.escape(title)}</text>']
    for power in range(x_low, x_high + 1):
        x, _ = place((10.0**power, 10.0**y_low))
        parts.append(f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{TOP + PLOT_HEIGHT}" stroke="#ddd"/>')
        name = {3: "1 k", 4: "10 k", 5: "100 k", 6: "1 M", 7: "10 M", 8: "100 M"}.get(power, f"1e{power}")
        parts.append(f'<text x="{x}" y="{TOP + PLOT_HEIGHT + 16}" text-anchor="middle">{name}</text>')
    for power in range(y_low, y_high + 1):
        _, y = place((10.0**x_low, 10.0**power))
        parts.append(f'<line x1="{left}" y1="{y}" x2="{left + PLOT_WIDTH}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{10.0**power:g}</text>')
    for name, line in lines.items():
        drawn = [place(point) for point in line]
        path = " ".join(f"{x},{y}" for x, y in drawn)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3.5" fill="{COLOURS[name]}"/>' for x, y in drawn]
    return parts
