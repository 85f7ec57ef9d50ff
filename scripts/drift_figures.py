"""`make drift-figures`: false alarms and power of the comparison, for docs/explanation/monitoring.md.

By the arithmetic that the comparison itself uses (glue_scripts/common/drift.py), over profiles as Spark makes
them: 101 quantiles of a number, counts of a category. Requests are drawn, with fixed seeds, from what the
training data was drawn from, or from something shifted. PSI and KS of a continuous number depend on ranks
alone, so one distribution stands for all.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "glue_scripts"))

from common import drift  # noqa: E402 - after its folder

PAGE = ROOT / "docs" / "explanation" / "monitoring.md"
TRAINED = 3500  # rows of training data: as many as the images of MNIST that mnist trains on
RECORDS = (100, 300, 1000, 3000)
TRIALS = 1000
SHIFTS = (0.1, 0.25, 0.5, 1.0)
CLASSES = 10
LIMITS = {"psi": (0.1, 0.25), "ks": (0.1, 0.15, 0.2)}


def number(source: random.Random, count: int, shift: float = 0.0) -> dict[str, Any]:
    """The profile of a normal sample, whose mean is `shift` deviations from 0."""
    values = sorted(source.gauss(shift, 1.0) for _ in range(count))
    # As percentile_approx: the smallest value whose rank is at least the share.
    quantiles = [values[max(0, -(-count * point // 100) - 1)] for point in range(101)]
    return {"kind": "number", "count": count, "nulls": 0, "mean": 0.0, "quantiles": quantiles}


def category(source: random.Random, count: int, shift: float = 0.0) -> dict[str, Any]:
    """The profile of classes of equal chances; `shift` of the values is of the first class besides."""
    drawn = (0 if source.random() < shift else source.randrange(CLASSES) for _ in range(count))
    top = [[str(name), found] for name, found in Counter(drawn).most_common()]
    return {"kind": "category", "count": count, "nulls": 0, "top": top, "others": 0}


def values(
    make: Callable[[random.Random, int, float], dict[str, Any]],
    measure: str,
    records: int,
    shift: float = 0.0,
    trials: int = TRIALS,
) -> list[float]:
    """The measure in `trials` comparisons, each with training data of its own."""
    source = random.Random(f"{make.__name__} {records} {shift}")
    found = []
    for _ in range(trials):
        was, now = make(source, TRAINED, 0.0), make(source, records, shift)
        results = drift.compare({"columns": {"x": was}}, {"columns": {"x": now}}, {measure: 1e9})
        found.append(float(results[0]["value"]))
    return found


def share(found: Sequence[float], limit: float) -> str:
    """The share of comparisons over a limit, as it stands in the table."""
    over = sum(value > limit for value in found)
    return "none" if not over else f"{over / len(found):.1%}"


def false_alarms() -> str:
    """Unshifted requests: the greatest of the trials, and how many are over a limit."""
    head = ["records", "largest PSI, a number", "largest PSI, ten classes", "largest KS"]
    head += [f"PSI > {limit:g}" for limit in LIMITS["psi"]] + [f"KS > {limit:g}" for limit in LIMITS["ks"]]
    rows = []
    for records in RECORDS:
        psi, ks = values(number, "psi", records), values(number, "ks", records)
        classes = values(category, "psi", records)
        either = [max(pair) for pair in zip(psi, classes, strict=True)]
        cells = [f"{max(psi):.3f}", f"{max(classes):.3f}", f"{max(ks):.3f}"]
        cells += [share(either, limit) for limit in LIMITS["psi"]]
        cells += [share(ks, limit) for limit in LIMITS["ks"]]
        rows.append([str(records), *cells])
    return table(head, rows)


def power() -> str:
    """Shifted requests, 1,000 records: how many comparisons are over a limit."""
    head = ["what moved", "PSI, mean", *[f"PSI > {limit:g}" for limit in LIMITS["psi"]], "KS, mean"]
    head += [f"KS > {limit:g}" for limit in LIMITS["ks"]]
    rows = []
    for shift in SHIFTS:
        psi, ks = (values(number, measure, 1000, shift, 200) for measure in ("psi", "ks"))
        cells = [f"{sum(psi) / len(psi):.3f}", *[share(psi, limit) for limit in LIMITS["psi"]]]
        cells += [f"{sum(ks) / len(ks):.3f}", *[share(ks, limit) for limit in LIMITS["ks"]]]
        rows.append([f"a number, by {shift:g} deviations", *cells])
    for shift in (0.1, 0.2, 0.4):
        psi = values(category, "psi", 1000, shift, 200)
        cells = [f"{sum(psi) / len(psi):.3f}", *[share(psi, limit) for limit in LIMITS["psi"]]]
        cells += ["-"] * (1 + len(LIMITS["ks"]))
        rows.append([f"{shift:.0%} of ten classes, to one", *cells])
    return table(head, rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of the page."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


FIGURES = {"false-alarms": false_alarms, "power": power}


def put(page: str, name: str, text: str) -> str:
    """The page with the table between `<!-- figure: name -->` and `<!-- end -->`."""
    pattern = rf"(<!-- figure: {name} -->\n)(?:\|[^\n]*\n)*(<!-- end -->)"
    changed, count = re.subn(pattern, lambda found: f"{found[1]}{text}\n{found[2]}", page)
    if count != 1:
        raise SystemExit(f"{PAGE.relative_to(ROOT)} has no place for the figure {name}")
    return changed


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, make in FIGURES.items():
        page = put(page, name, make())
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
