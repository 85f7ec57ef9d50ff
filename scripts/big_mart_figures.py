"""What good and bad models of sales reach on held-out rows: by these big_mart's gate was chosen.

    make big-mart-figures       the tables of docs/explanation/big-mart.md, in about five minutes

Trains on the drawn sample and, where apt is there to fetch it, on real sales of orange juice; each seed draws
another split and another training.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline import caches  # noqa: E402
from pipeline import settings as store  # noqa: E402
from pipeline.execution import sample  # noqa: E402
from pipeline.local.runner import environment  # noqa: E402

CONTAINER = ROOT / "container" / "big_mart"
MAKER = ROOT / "pipeline" / "definitions" / "big_mart" / "make_sample.py"
METRICS = ("r2", "rmse", "rmse_over_group_mean")
HEAD = "| Model | trained | R2 | RMSE | of the store mean's error saved | pass |"
# Trained with the settings' hyperparameters and what is changed of them, on rows that are harmed so.
GOOD = "as in the settings"
VARIANTS: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {
    GOOD: (20, {}, {}),
    "XGBoost's own defaults, 100 rounds": (
        5,
        {"num_round": 100, "eta": 0.3, "max_depth": 6, "min_child_weight": 1, "early_stopping_rounds": None},
        {},
    ),
    "20 rounds": (5, {"num_round": 20}, {}),
    "a fifth of the labels exchanged": (5, {}, {"shuffled": 0.2}),
    "all labels shuffled": (5, {}, {"shuffled": 1.0}),
    "without the price": (5, {}, {"emptied": ["Item_MRP"]}),
    "without the store": (
        5,
        {},
        {
            "emptied": [
                "Outlet_Identifier",
                "Outlet_Establishment_Year",
                "Outlet_Size",
                "Outlet_Location_Type",
                "Outlet_Type",
            ]
        },
    ),
}


def passes(settings: Any, found: dict[str, float]) -> bool:
    """Whether the bounds of the settings' gate let these metrics through."""
    return all(
        (rule.minimum is None or found[rule.metric] >= rule.minimum)
        and (rule.maximum is None or found[rule.metric] <= rule.maximum)
        for rule in settings.pipeline.gate
    )


def line(settings: Any, variant: str, found: list[dict[str, float]], *, judged: bool = True) -> str:
    """One line of a table: from the least to the largest of each metric."""
    cells = []
    for metric in METRICS:
        values = [one[metric] for one in found]
        form = "{:,.0f}" if max(values) > 100 else "{:.3f}"
        cells.append(" to ".join(dict.fromkeys(form.format(value) for value in (min(values), max(values)))))
    passed = str(sum(passes(settings, one) for one in found)) if judged else "-"
    return f"| {variant} | {len(found)} | {' | '.join(cells)} | {passed} |"


def measured(data: Path, jobs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One result a job, as they come."""
    made = environment.ensure(CONTAINER, caches.folder("environments"))
    with subprocess.Popen(
        [str(made / "bin" / "python"), str(ROOT / "scripts" / "big_mart_figures" / "measure.py"), str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{CONTAINER}:{CONTAINER.parent}"},
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(jobs))
        process.stdin.close()
        for text in process.stdout:
            print(f"  {text.rstrip()}", flush=True)
            yield json.loads(text)
    if process.returncode:
        raise SystemExit(process.returncode)


def table(
    settings: Any, data: Path, jobs: list[dict[str, Any]], *, judged: bool = True
) -> list[dict[str, Any]]:
    """Measure, and print a table."""
    results: dict[str, list[dict[str, float]]] = {}
    for found in measured(data, jobs):
        results.setdefault(found.pop("variant"), []).append(found)
    print("\n".join([HEAD, "|---" * (HEAD.count("|") - 1) + "|"]))
    print("\n".join(line(settings, variant, found, judged=judged) for variant, found in results.items()))
    print()
    return next(iter(results.values()))


def main() -> int:
    """Measure and print the tables."""
    began = time.monotonic()
    settings = store.load(ROOT, "big_mart", "dev")
    own = {key: value for key, value in settings.pipeline.hyperparameters.items() if key != "seed"}
    arguments = dict(settings.pipeline.transforms["features"].arguments)
    jobs = [
        {
            "variant": variant,
            "arguments": arguments,
            "hyperparameters": {k: v for k, v in {**own, "seed": seed, **changed}.items() if v is not None},
            "harm": harm,
            "seed": seed,
        }
        for variant, (count, changed, harm) in VARIANTS.items()
        for seed in range(count)
    ]
    good = table(settings, sample.folder(settings, print) / "raw", jobs)
    for metric in ("r2_group_mean", "rmse_group_mean"):
        values = [one[metric] for one in good]
        print(f"{metric}, of the store mean itself: {min(values):.4g} to {max(values):.4g}")
    for metric in METRICS:
        values = [one[metric] for one in good]
        print(f"{metric}: mean {statistics.mean(values):.4g}, between seeds {statistics.stdev(values):.2g}")
    one = good[0]
    print(
        f"by chance of {one['rows']} rows: r2 {one['r2_deviation']:.3f}, rmse {one['rmse_deviation']:.0f}; "
        f"a training {statistics.median(each['seconds'] for each in good):.1f} s\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [sys.executable, str(MAKER), "--out", scratch, "--data", "orange-juice"], check=False
        )
        if done.returncode:
            print("orange juice: it cannot be fetched here")
        else:
            fragment = tomllib.loads((Path(scratch) / "settings.toml").read_text(encoding="utf-8"))
            by_time = fragment["transforms"]["features"]["arguments"]
            at_random = {key: value for key, value in by_time.items() if key != "TIME"}
            jobs = [
                {
                    "variant": variant,
                    "arguments": given,
                    "hyperparameters": {**own, "max_depth": 6, "seed": seed},
                    "harm": {},
                    "seed": seed,
                }
                for variant, given in (("the latest weeks held out", by_time), ("weeks at random", at_random))
                for seed in range(3)
            ]
            table(settings, Path(scratch) / "raw", jobs, judged=False)
    print(f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
