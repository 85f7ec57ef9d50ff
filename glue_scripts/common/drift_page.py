"""A comparison as one HTML page that needs nothing else: measures, and both distributions of each feature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from itertools import pairwise
from typing import Any

from common.drift import BINS, CATEGORIES, Distribution

WIDTH, HEIGHT, GAP = 520, 110, 2
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#1a1a1a}
table{border-collapse:collapse;margin:.5em 0}td,th{padding:.15em .8em .15em 0;text-align:left}
.bad{color:#b00020;font-weight:600}.b{fill:#9aa5b1}.c{fill:#1f6feb}.d{fill:#b00020}
figure{margin:.5em 0 1.5em}figcaption{color:#555;font-size:.9em}
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}figcaption{color:#aaa}}
"""


def page(report: Mapping[str, Any]) -> str:
    """The whole page."""
    drifted = report["drifted"]
    verdict = f"Drift: {', '.join(drifted)}" if drifted else "No drift"
    verdict = verdict if report["enough"] else "Too few requests to tell"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Requests beside the training data</title>",
        f"<style>{_STYLE}</style><h1>{escape(verdict)}</h1>",
        f"<p>{report['requests']} requests with {report['records']} records, "
        f"{escape(str(report['since']))} to {escape(str(report['until']))}, beside the training data of "
        f"<code>{escape(str(report['package']))}</code>. It takes {report['minimum']} records.",
    ]
    if report["unreadable"]:
        parts.append(f"<p class=bad>{report['unreadable']} captured lines could not be read.")
    for name, feature in report["features"].items():
        parts += _feature(name, feature)
    return "\n".join(parts) + "\n"


def _feature(name: str, feature: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2{' class=bad' if feature['drifted'] else ''}>{escape(name)}</h2>"
    if not feature["judged"]:
        yield f"<p>Not judged: {escape(feature['why'])}."
    if feature["measures"]:
        yield "<table><tr><th>measure<th>value<th>limit"
        for measure in feature["measures"]:
            limit = "none" if measure["limit"] is None else f"{measure['limit']:g}"
            mark = "" if measure["passed"] else " class=bad"
            yield f"<tr{mark}><td>{measure['measure']}<td>{measure['value']:.4f}<td>{limit}"
        yield "</table>"
    was, now = feature["baseline"], feature["current"]
    if was and was["kind"] == now["kind"] and was["count"] and now["count"]:
        yield _figure(_bars(was, now), feature["drifted"])


def _bars(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """(label, share of the baseline, share of the requests): tenths of the baseline, or categories."""
    if was["kind"] == "category":
        before, after = dict(was["top"]), dict(now["top"])
        names = [*list(before)[:CATEGORIES], *[name for name in after if name not in before][:5]]
        return [
            (str(name), before.get(name, 0) / was["count"], after.get(name, 0) / now["count"])
            for name in names
        ]
    points = was["quantiles"]
    edges = sorted({points[round(part * (len(points) - 1) / BINS)] for part in range(1, BINS)})
    labels = [f"up to {edge:.4g}" for edge in edges] + [f"over {edges[-1]:.4g}"]
    shares = []
    for column in (was, now):
        bounds = [0.0, *(Distribution(column["quantiles"]).at(edge) for edge in edges), 1.0]
        shares.append([high - low for low, high in pairwise(bounds)])
    return list(zip(labels, *shares, strict=True))


def _figure(bars: list[tuple[str, float, float]], drifted: bool) -> str:
    most = max([share for _, one, other in bars for share in (one, other)] or [1.0]) or 1.0
    wide = (WIDTH / len(bars) - GAP) / 2
    drawn = []
    for index, (label, one, other) in enumerate(bars):
        for place, (share, kind) in enumerate(((one, "b"), (other, "d" if drifted else "c"))):
            high = share / most * HEIGHT
            left = index * WIDTH / len(bars) + place * wide
            drawn.append(
                f"<rect class={kind} x={left:.1f} y={HEIGHT - high:.1f} width={wide:.1f} height={high:.1f}>"
                f"<title>{escape(label)}: {share:.1%}</title></rect>"
            )
    return (
        f"<figure><svg role=img viewBox='0 0 {WIDTH} {HEIGHT}' width={WIDTH} height={HEIGHT}>"
        f"{''.join(drawn)}</svg><figcaption>grey: training data; coloured: requests "
        f"({escape(bars[0][0])} … {escape(bars[-1][0])})</figcaption></figure>"
    )
