"""The evaluation as a page to look at: one HTML file with the confusion matrix and the worst mistakes in it.

Nothing is loaded from anywhere: images are in the page, as PNG, so it can be mailed or kept.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import CLASSES, SIDE
from .pixels import Raw

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
body { color: #1c2330; background: #fff; }
table { border-collapse: collapse; } th, td { padding: .3rem .6rem; text-align: right; }
.matrix td { min-width: 2.6rem; } .matrix .zero { color: #b8bfca; }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { font-size: .85rem; }
img { width: 100%; image-rendering: pixelated; border: 1px solid #d6dbe3; }
.share { color: #5b6575; }
"""


def make(
    result: dict[str, Any],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    mistakes: Sequence[tuple[int, Raw]],
) -> str:
    """The page. mistakes: rows and their raw pixels (784,), the worst first."""
    quality = result["multiclass_classification_metrics"]
    accuracy, least = quality["accuracy"], result["recall_metrics"]["lowest_recall"]
    wrong = int((probabilities.argmax(axis=1) != labels).sum())
    figures = "".join(_figure(row, raw, labels, probabilities) for row, raw in mistakes)
    shown = "" if len(mistakes) == wrong else f", {len(mistakes)} of {wrong}"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>mnist: evaluation</title><style>{_STYLE}</style></head>
<body>
<h1>Digits the model has never seen</h1>
<p>{len(labels):,} images, {wrong:,} of them taken for another digit: accuracy
{accuracy["value"]:.4f} (standard deviation {accuracy["standard_deviation"]:.4f}),
log loss {result["probability_metrics"]["log_loss"]["value"]:.4f},
lowest recall {least["value"]:.3f} (digit {least["class"]}).</p>
<h2>What was taken for what</h2>
{_matrix(quality["confusion_matrix"], result["per_class_metrics"])}
<h2>The worst mistakes</h2>
<p>Those whose true digit got the least probability{shown}.
The number of each is its row in the held-out data.</p>
<div class="mistakes">{figures or "There are none."}</div>
</body></html>
"""


def _matrix(matrix: dict[str, dict[str, int]], per_class: dict[str, Any]) -> str:
    head = "".join(f"<th>{name}</th>" for name in CLASSES)
    lines = []
    for true, counts in matrix.items():
        total = sum(counts.values()) or 1
        cells = "".join(_cell(count, total, guess == true) for guess, count in counts.items())
        recall = per_class[CLASSES[int(true)]]["recall"]["value"]
        lines.append(f"<tr><th>{CLASSES[int(true)]}</th>{cells}<td class='share'>{recall:.1%}</td></tr>")
    return (
        f"<table class='matrix'><tr><th>is</th><th colspan='{len(CLASSES)}'>was taken for</th><th>recall</th>"
        f"</tr><tr><th></th>{head}<th></th></tr>{''.join(lines)}</table>"
    )


def _cell(count: int, total: int, right: bool) -> str:
    if not count:
        return "<td class='zero'>0</td>"
    # Few mistakes are many: the root makes one of a hundred visible.
    shade = (count / total) ** 0.5
    colour = f"rgba(38,132,92,{shade:.2f})" if right else f"rgba(200,60,40,{shade:.2f})"
    return f"<td style='background:{colour}'>{count}</td>"


def _figure(row: int, raw: Raw, labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> str:
    true, guess = int(labels[row]), int(probabilities[row].argmax())
    shares = ", ".join(f"{probabilities[row, one]:.1%} {CLASSES[one]}" for one in (guess, true))
    said = f"<b>{CLASSES[true]}</b> taken for <b>{CLASSES[guess]}</b><br><span class='share'>{shares}</span>"
    about = html.escape(f"row {row}: a {CLASSES[true]} taken for a {CLASSES[guess]}")
    return (
        f"<figure><img alt='{about}' title='{about}' src='data:image/png;base64,{png(raw)}'>"
        f"<figcaption>{said}</figcaption></figure>"
    )


def png(raw: Raw) -> str:
    """The image as base64 of a PNG, dark on white as on paper."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(255 - raw.reshape(SIDE, SIDE)).save(out, format="PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode("ascii")
