"""`make gate-figures`: what the gate can and cannot tell, computed; written into docs/explanation/gate.md.

The tables of right-or-wrong outcomes are exact: every outcome that so many rows can have, with its
probability. Those of numbers are simulated, with fixed seeds. The table of iris trains LightGBM over and
over, in the environment that the container's lock describes.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import NormalDist

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pipeline.lambdas.gate import intervals  # noqa: E402 - after its folder

PAGE = ROOT / "docs" / "explanation" / "gate.md"
CONFIDENCE = 0.95
ROWS = (60, 200, 1000)
SAMPLES, RESAMPLES = 1000, 200
# What is left out of the sums below, at each end of a distribution.
NEGLIGIBLE = 1e-9


def stopped(rows: int, win: float, loss: float) -> float:
    """Probability that a challenger is stopped, by its chances of being the only one right or wrong.

    With the default terms: margin 0, the benefit of the doubt the challenger's.
    """
    z = NormalDist().inv_cdf(CONFIDENCE)
    total = 0.0
    for wins, of_wins in _binomial(rows, win):
        for losses, of_losses in _binomial(rows - wins, loss / (1 - win)):
            if intervals.score(wins, losses, rows, 0.0) < -z:
                total += of_wins * of_losses
    return total


def _binomial(count: int, chance: float) -> Iterator[tuple[int, float]]:
    """All outcomes of `count` trials that are likely enough to matter."""
    for hits in range(count + 1):
        if chance <= 0:
            yield 0, 1.0
            return
        logarithm = (
            math.lgamma(count + 1)
            - math.lgamma(hits + 1)
            - math.lgamma(count - hits + 1)
            + hits * math.log(chance)
            + (count - hits) * math.log1p(-chance)
        )
        probability = math.exp(logarithm)
        if probability > NEGLIGIBLE:
            yield hits, probability
        elif hits > count * chance:
            return


def table(headers: list[str], rows: list[list[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def power() -> str:
    """A worse model: how often it is stopped. Both models are alone right on a further 2 % of the rows."""
    drops = (0.02, 0.05, 0.08, 0.1, 0.15, 0.2)
    lines = [[f"{100 * d:.0f} points", *(percent(stopped(n, 0.02, 0.02 + d)) for n in ROWS)] for d in drops]
    return table(["really lower by", *(f"{n:,} rows" for n in ROWS)], lines)


def false_stops() -> str:
    """An equally good model: how often it is stopped, by how often the two models disagree."""
    shares = (0.02, 0.05, 0.1, 0.2, 0.4)
    lines = [[percent(s), *(percent(stopped(n, s / 2, s / 2)) for n in ROWS)] for s in shares]
    return table(["rows on which they disagree", *(f"{n:,} rows" for n in ROWS)], lines)


def smallest_margin() -> str:
    """Two models that predict the same: how much worse the new one could still be."""
    counts = (60, 200, 1000, 5000, 20_000)
    bounds = [f"{-(intervals.of_counts(0, 0, n, CONFIDENCE).low or 0):.4f}" for n in counts]
    return table(["rows, all alike", *(f"{n:,}" for n in counts)], [["a loss not ruled out", *bounds]])


def _losses(r: random.Random) -> float:
    return abs(r.gauss(0, 1)) ** 3 * (math.exp(r.gauss(0, 0.5)) - math.exp(r.gauss(0, 0.5)))


def _student(r: random.Random) -> float:
    return r.gauss(0, 1) / math.sqrt(sum(r.gauss(0, 1) ** 2 for _ in range(3)) / 3)


SHAPES: dict[str, Callable[[random.Random], float]] = {
    "normal": lambda r: r.gauss(0, 1),
    "skewed (exponential)": lambda r: r.expovariate(1) - 1,
    "heavy tails (Student, 3)": _student,
    "losses of two equal models": _losses,
    "rare and large (1 row in 20)": lambda r: (r.expovariate(1) * 3 if r.random() < 0.05 else 0.0) - 0.15,
}


def numbers() -> str:
    """Differences whose true mean is 0: how often each bound leaves it out, below and above."""
    counts = (30, 60, 200)
    lines = []
    for name, shape in SHAPES.items():
        cells = []
        for rows in counts:
            generator = random.Random(f"{name} {rows}")
            low = high = 0
            for _ in range(SAMPLES):
                drawn = [shape(generator) for _ in range(rows)]
                found = intervals.of_values(drawn, CONFIDENCE, RESAMPLES)
                low += found.low is not None and found.low > 0
                high += found.high is not None and found.high < 0
            cells.append(f"{100 * low / SAMPLES:.1f} / {100 * high / SAMPLES:.1f} %")
        lines.append([name, *cells])
    return table(["differences", *(f"{n} rows" for n in counts)], lines)


def iris() -> str:
    """What the settings of iris let pass, over random splits of its 150 rows."""
    from pipeline import caches
    from pipeline.local.runner import environment

    venv = environment.ensure(ROOT / "container" / "iris", caches.folder("environments"))
    done = subprocess.run(
        [str(venv / "bin" / "python"), str(ROOT / "scripts" / "gate_figures" / "iris.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "pipeline" / "lambdas")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    header, *lines = [line.split("\t") for line in done.stdout.splitlines()]
    return table(header, lines)


EXACT: dict[str, Callable[[], str]] = {
    "power": power,
    "false-stops": false_stops,
    "smallest-margin": smallest_margin,
}
SLOW: dict[str, Callable[[], str]] = {"numbers": numbers, "iris": iris}


def put(page: str, name: str, text: str) -> str:
    """The page with the table between `<!-- figure: name -->` and `<!-- end -->`."""
    pattern = rf"(<!-- figure: {name} -->\n)(?:\|[^\n]*\n)*(<!-- end -->)"
    changed, count = re.subn(pattern, lambda m: f"{m[1]}{text}\n{m[2]}", page)
    if count != 1:
        raise SystemExit(f"{PAGE.relative_to(ROOT)} has no place for the figure {name}")
    return changed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join([*EXACT, *SLOW])}")
    args = parser.parse_args()
    for name in args.figures or [*EXACT, *SLOW]:
        text = {**EXACT, **SLOW}[name]()
        PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), name, text), encoding="utf-8")
        print(f"{name}\n\n{text}\n", flush=True)


if __name__ == "__main__":
    main()
