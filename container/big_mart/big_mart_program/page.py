"""The evaluation as a page to look at: residuals, their distribution, and what the model looks at.

One HTML file with drawings in it; nothing is loaded from anywhere, so it can be mailed or kept.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Points of the plot: more only make the page large.
MOST_POINTS = 2000
BARS, BINS, TICKS = 12, 41, 5
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 330, 70, 42, 12

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
body { color: #1c2330; background: #fff; }
table { border-collapse: collapse; } th, td { padding: .2rem .7rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; max-width: 46rem; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: #5b6575; }
.dot { fill: #2f6fab; fill-opacity: .35; } .bar { fill: #2f6fab; } .line { stroke: #c83c28; }
.axis { stroke: #9aa3b2; } .grid { stroke: #e6e9ee; }
"""


def make(result: dict[str, Any], labels: Floats, predicted: Floats) -> str:
    """The page of an evaluation. labels, predicted: (rows,)."""
    name = html.escape(result["label"]["name"])
    measured = {**result["regression_metrics"], **result["baseline_metrics"]}
    lines = "".join(
        f"<tr><td>{html.escape(key)}</td><td>{entry['value']:,.4g}</td>"
        f"<td>{entry['standard_deviation']:,.2g}</td></tr>"
        for key, entry in measured.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{name}: evaluation</title><style>{_STYLE}</style></head>
<body>
<h1>{name} of {len(labels):,} rows the model has never seen</h1>
<table><tr><th>metric</th><th>value</th><th>standard deviation</th></tr>{lines}</table>
<p>What has <code>group_mean</code> in its name is the baseline's, which predicts the mean of the row's group
among the training rows; <code>rmse_over_group_mean</code> is the share of its error that the model saves.</p>
<h2>Residuals</h2>
<p>Each point is a row: how far off the prediction is, by what was predicted. Points on the line are exact;
above it, more was predicted than there was.</p>
{residuals(labels, predicted)}
<h2>How far off</h2>
{distribution(predicted - labels)}
<h2>What the model looks at</h2>
<p>Share of the trees' gain, by raw column and by feature.</p>
{bars(list(result["importance"]["columns"].items())[:BARS])}
{bars(list(result["importance"]["features"].items())[:BARS])}
</body></html>
"""


def residuals(labels: Floats, predicted: Floats) -> str:
    """Residual by prediction, as SVG; of many rows every n-th."""
    step = max(1, math.ceil(len(labels) / MOST_POINTS))
    x, y = predicted[::step], (predicted - labels)[::step]
    frame = _Frame(_ends(x), _ends(y))
    dots = "".join(
        f"<circle class='dot' cx='{frame.x(a):.1f}' cy='{frame.y(b):.1f}' r='2.4'/>"
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    )
    zero = f"<line class='line' x1='{LEFT}' x2='{WIDTH}' y1='{frame.y(0):.1f}' y2='{frame.y(0):.1f}'/>"
    return _svg(frame.axes("predicted", "predicted - true") + dots + zero, "Residuals by prediction")


def distribution(errors: Floats) -> str:
    """Histogram of the residuals, as SVG; what is further off than 99 % of them is in the outer bins."""
    far = float(np.quantile(np.abs(errors), 0.99)) or 1.0
    counts, edges = np.histogram(np.clip(errors, -far, far), bins=BINS, range=(-far, far))
    frame = _Frame((-far, far), (0.0, float(counts.max()) or 1.0))
    drawn = "".join(
        f"<rect class='bar' x='{frame.x(a) + 0.5:.1f}' width='{max(0.5, frame.x(b) - frame.x(a) - 1):.1f}' "
        f"y='{frame.y(count):.1f}' height='{frame.y(0) - frame.y(count):.1f}'/>"
        for count, a, b in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    )
    return _svg(frame.axes("predicted - true", "rows") + drawn, "Distribution of the residuals")


def bars(shares: Sequence[tuple[str, float]]) -> str:
    """One bar a name, as SVG."""
    if not shares:
        return "<p>The model has no split: it predicts the same for every row.</p>"
    row, names = 22, 230
    scale = (WIDTH - names - 60) / max(share for _, share in shares)
    drawn = "".join(
        f"<text x='{names - 8}' y='{at * row + 15}' text-anchor='end'>{html.escape(name)}</text>"
        f"<rect class='bar' x='{names}' y='{at * row + 3}' height='{row - 6}' "
        f"width='{share * scale:.1f}'/>"
        f"<text x='{names + 6 + share * scale:.1f}' y='{at * row + 15}'>{share:.1%}</text>"
        for at, (name, share) in enumerate(shares)
    )
    return _svg(drawn, "Feature importance", row * len(shares))


def _svg(content: str, about: str, height: int = HEIGHT) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img' "
        f"aria-label='{about}'>{content}</svg>"
    )


def _ends(values: Floats) -> tuple[float, float]:
    low, high = float(min(values.min(), 0)), float(max(values.max(), 0))
    return (low, high) if high > low else (low, low + 1)


class _Frame:
    """Where values are drawn. x, y: their least and largest."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y

    def x(self, value: float) -> float:
        low, high = self._x
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - 10)

    def y(self, value: float) -> float:
        low, high = self._y
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP)

    def axes(self, across: str, up: str) -> str:
        lines = []
        for value in _ticks(*self._x):
            at = self.x(value)
            lines.append(
                f"<line class='grid' x1='{at:.1f}' x2='{at:.1f}' y1='{TOP}' y2='{HEIGHT - BOTTOM}'/>"
            )
            lines.append(
                f"<text x='{at:.1f}' y='{HEIGHT - BOTTOM + 16}' text-anchor='middle'>{value:,g}</text>"
            )
        for value in _ticks(*self._y):
            at = self.y(value)
            lines.append(f"<line class='grid' x1='{LEFT}' x2='{WIDTH - 10}' y1='{at:.1f}' y2='{at:.1f}'/>")
            lines.append(f"<text x='{LEFT - 6}' y='{at + 4:.1f}' text-anchor='end'>{value:,g}</text>")
        middle = (LEFT + WIDTH) / 2
        lines.append(f"<text x='{middle}' y='{HEIGHT - 6}' text-anchor='middle'>{html.escape(across)}</text>")
        turned = f"transform='translate(14 {HEIGHT / 2 - 10}) rotate(-90)'"
        lines.append(f"<text {turned} text-anchor='middle'>{html.escape(up)}</text>")
        return "".join(lines)


def _ticks(low: float, high: float) -> Iterator[float]:
    """Round values between two, about TICKS of them."""
    rough = (high - low) / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    at = math.ceil(low / step)
    while at * step <= high:
        yield round(at * step, 10)
        at += 1
