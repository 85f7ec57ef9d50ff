"""`make bench-scale`: how time and memory of a transform grow with the data, in Spark and beside it.

The window sums of the recommender's features (scripts/bench_scale/part.py) over synthetic ratings, Parquet
in and out: in Spark with the settings of the local Glue, in pandas, Polars and DuckDB, each in an environment
of its own; the same sums must come out of all. One after the other, so ratios within a size are of one
machine and hour. Spark also runs the whole transform (27 columns). --write makes docs/explanation/scale.*.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "bench_scale"))

import draw  # noqa: E402
import measure  # noqa: E402

DOCS = ROOT / "docs" / "explanation"
WHOLE = "spark, whole transform"


def main() -> int:
    """Measure, print, and write the docs when asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="100000,1000000,10000000", help="sizes, with commas")
    parser.add_argument("--engines", default=f"{','.join(measure.ENGINES)},whole")
    parser.add_argument("--memory-mb", type=int, default=4096, help="heap of Spark, limit of DuckDB")
    parser.add_argument("--most-mb", type=int, default=14000, help="more memory than this ends a run")
    parser.add_argument("--cores-rows", type=int, default=1_000_000, help="size for one core against two")
    parser.add_argument("--data", type=Path, help="keep the synthetic data here, for another time")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--write", action="store_true", help="write docs/explanation/scale.*")
    parser.add_argument("--draw", action="store_true", help="measure nothing: docs again from scale.json")
    options = parser.parse_args()
    if options.draw:
        write(json.loads((DOCS / "scale.json").read_text()))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        measured = bench(options, options.data or Path(temporary))
    print("\n" + draw.table(measured) + "\n\n" + draw.growth(measured) + "\n")
    if "cores" in measured:
        print(draw.workers(measured))
    if options.write:
        write(measured)
    return 0 if not measured["differing"] else 1


def bench(options: argparse.Namespace, data: Path) -> dict[str, Any]:
    """All runs; `differing` names the sizes at which engines did not make the same."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    measured: dict[str, Any] = {
        "memory_mb": options.memory_mb,
        "processors": cores,
        "note": options.note,
        "load_before": round(os.getloadavg()[0], 1),
        "runs": [],
        "differing": [],
    }
    limits = {"memory_mb": options.memory_mb, "most_mb": options.most_mb}
    engines = options.engines.split(",")
    for rows in (int(each) for each in options.rows.split(",")):
        source = data / str(rows)
        measure.generate(source, rows)
        checks = set()
        for engine in engines:
            whole = engine == "whole"
            name = WHOLE if whole else engine
            result = measure.run("spark" if whole else engine, source, cores=cores, whole=whole, **limits)
            if "check" in result:
                checks.add(result.pop("check"))
            print(f"{rows:>12,} {name:<24} {result}", flush=True)
            measured["runs"].append({"rows": rows, "engine": name, **result})
        if len(checks) > 1:
            print(
                f"{rows:,} rows: the engines do not make the same: {sorted(map(str, checks))}",
                file=sys.stderr,
            )
            measured["differing"].append(rows)
        measured["load_after"] = round(os.getloadavg()[0], 1)
        if options.write:  # a long run that is ended leaves what it has measured
            write(measured)
    if "spark" in engines and options.cores_rows and cores > 1:
        source = data / str(options.cores_rows)
        measure.generate(source, options.cores_rows)
        times = {str(n): measure.run("spark", source, cores=n, **limits).get("seconds") for n in (1, 2)}
        print(f"{options.cores_rows:>12,} one core, two cores: {times}", flush=True)
        if all(times.values()):
            measured["cores"] = {"rows": options.cores_rows, **times}
    measured["load_after"] = round(os.getloadavg()[0], 1)
    return measured


def about(measured: dict[str, Any]) -> str:
    """On what it was measured."""
    heap = f"a heap of {measured['memory_mb'] / 1024:g} GiB for Spark and as much for DuckDB"
    load = f"{measured['load_before']} before and {measured['load_after']} after"
    text = f"{measured['processors']} processors, {heap}. Load of the machine: {load}."
    return f"{text} {measured['note']}".strip()


def write(measured: dict[str, Any]) -> None:
    """The figures, the plot, and the tables between the marks of the page."""
    (DOCS / "scale.json").write_text(json.dumps(measured, indent=1) + "\n")
    (DOCS / "scale.svg").write_text(draw.svg(measured))
    page = DOCS / "scale.md"
    text = page.read_text()
    tables = {"table": draw.table(measured), "growth": draw.growth(measured), "about": about(measured)}
    if "cores" in measured:
        tables["workers"] = draw.workers(measured)
    for name, content in tables.items():
        before, _, rest = text.partition(f"<!-- {name} -->\n")
        _, mark, after = rest.partition("<!-- end -->")
        text = f"{before}<!-- {name} -->\n{content}\n{mark}{after}"
    page.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
