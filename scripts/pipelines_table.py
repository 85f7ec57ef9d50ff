"""The pipelines side by side in docs/explanation/five-pipelines.md: graphs, run times, metrics, AWS's price.

    make pipelines-table                      the page and the graphs, from what was measured before
    make pipelines-table MEASURE="iris mnist" run these in a copy of the repository first, and measure
    make pipelines-table MEASURE=all

What is measured is kept in docs/explanation/pipelines.json: seconds of a first run on a local target of its
own, and the gate's metrics. Costs are computed from the rendered templates and the dated table of prices.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pipeline import cost  # noqa: E402 - after its folder
from pipeline import settings as store  # noqa: E402
from pipeline.graph import Picture  # noqa: E402
from pipeline.plan import template as templates  # noqa: E402
from pipeline.plan import told  # noqa: E402
from pipeline.render import render  # noqa: E402
from pipeline.settings.model import Settings  # noqa: E402

FOLDER = ROOT / "docs" / "explanation"
PAGE = FOLDER / "five-pipelines.md"
MEASURED = FOLDER / "pipelines.json"
# Where the table of prices knows all that the pipelines use.
PRICED = "us-east-1"


def names() -> list[str]:
    """Every pipeline of the repository."""
    return list(store.names(ROOT))


def pictures() -> dict[Path, str]:
    """File -> SVG of each pipeline's state machine, as rendered for the default environment."""
    return {FOLDER / "pipelines" / f"{name}.svg": picture(name) for name in names()}


def picture(name: str) -> str:
    """The way to success: joints and the handling of failures would be four fifths of it."""
    return Picture(render(_settings(name)).asl, title=name, short=True).svg


def overview() -> str:
    """What each shows, with its graph."""
    rows = []
    for name in names():
        settings = _settings(name)
        states = len(render(settings).asl["States"])
        link = f"[{states} states](pipelines/{name}.svg)"
        rows.append((f"`{name}`", settings.pipeline.description, _jobs(settings), link))
    return _table(("Pipeline", "What it shows", "Jobs of a run", "Graph"), rows)


def measures() -> str:
    """Run time and metrics, as measured."""
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    rows = []
    for name in names():
        found = measured.get(name)
        if found is None:
            rows.append((f"`{name}`", "not measured yet", "", ""))
            continue
        judged = dict.fromkeys(rule.metric for rule in _settings(name).pipeline.gate)
        values = [(metric, found["metrics"][metric]) for metric in judged if metric in found["metrics"]]
        said = ", ".join(f"{metric} {value:.4g}" for metric, value in values)
        rows.append((f"`{name}`", f"{found['seconds']:.0f} s", said, f"{found['date']}, {found['machine']}"))
    return _table(("Pipeline", "Run", "Metrics on held-out data", "Measured"), rows)


def costs() -> str:
    """What a run and a month cost on AWS, in the environment's region and where all prices are known."""
    rows = []
    region = ""
    for name in names():
        settings = _settings(name)
        region = settings.environment.region
        used = cost.usage(templates.filled(render(settings).template, {}))
        here, there = (cost.estimate(used, cost.of(each), {}) for each in (region, PRICED))
        runs = [told.total(each.per_run) for each in (here, there)]
        rows.append((f"`{name}`", *runs, told.total(there.per_month)))
    headers = (f"A run in {region}", f"A run in {PRICED}", f"A month in {PRICED}, without runs")
    return _table(("Pipeline", *headers), rows)


SECTIONS = {"overview": overview, "measures": measures, "costs": costs}


def put(page: str, name: str, text: str) -> str:
    """The page with the table between `<!-- table: name -->` and `<!-- end -->`."""
    pattern = rf"(<!-- table: {name} -->\n)(?:\|[^\n]*\n)*(<!-- end -->)"
    changed, count = re.subn(pattern, lambda m: f"{m[1]}{text}\n{m[2]}", page)
    if count != 1:
        raise SystemExit(f"{PAGE.relative_to(ROOT)} has no place for the table {name}")
    return changed


def made(page: str) -> str:
    """The page with all its tables anew."""
    for name, section in SECTIONS.items():
        page = put(page, name, section())
    return page


def measure(wanted: list[str]) -> dict[str, Any]:
    """Run these, one after the other, in a copy of the repository with a local target of its own."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="pipelines-") as place:
        copy = Path(place) / "repository"
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
        for file in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / file).is_file():
                (copy / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, copy / file)
        try:
            for name in wanted:
                found[name] = _run(copy, name)
                print(f"{name}: {found[name]['seconds']:.1f} s", file=sys.stderr, flush=True)
        finally:
            _pipeline(copy, "local", "down")
    return found


def _run(copy: Path, name: str) -> dict[str, Any]:
    cores = os.cpu_count() or 1
    beside = " beside other work" if os.getloadavg()[0] > cores else ""
    done = _pipeline(copy, "run", name, "--json")
    result = json.loads(done.stdout)
    if result["status"] != "SUCCEEDED":
        raise SystemExit(f"{name} {result['status']}: {result['error']} {result['cause']}")
    took = datetime.fromisoformat(result["stopped"]) - datetime.fromisoformat(result["started"])
    gate = json.loads(result["output"])["gate"]
    return {
        "seconds": round(took.total_seconds(), 1),
        "metrics": {key: value for key, value in gate["metrics"].items() if isinstance(value, int | float)},
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{cores} cores{beside}, programs as processes",
    }


def _pipeline(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PIPELINE_"))}
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=copy,
        env=kept | {"PIPELINE_LOCAL_RUNNER": "process"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )


def _jobs(settings: Settings) -> str:
    """States that run a job or a build to its end, in the machine's order."""
    kinds = {
        "createTrainingJob": "training",
        "createProcessingJob": "processing",
        "createHyperParameterTuningJob": "tuning",
        "startJobRun": "Glue",
        "startBuild": "CodeBuild",
    }
    rows, _ = Picture(render(settings).asl).rows()
    found = []
    details = {node["name"]: node["detail"] for node in _nodes(settings)}
    for row in rows:
        call = re.search(r":(\w+)\.sync", details.get(row.name, ""))
        if call and call[1] in kinds:
            found.append(f"{row.name} ({kinds[call[1]]})")
    return ", ".join(found)


def _nodes(settings: Settings) -> list[dict[str, Any]]:
    from pipeline.graph import nodes

    return nodes(render(settings).asl, {})


def _settings(name: str) -> Settings:
    return store.load(ROOT, name)


def _table(headers: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headers, tuple("---" for _ in headers), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def main() -> None:
    """Measure what is asked for, then write the graphs and the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "measure", nargs="*", metavar="PIPELINE", help="run and measure these; all: every one"
    )
    args = parser.parse_args()
    if args.measure:
        before = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
        found = before | measure(names() if args.measure == ["all"] else args.measure)
        MEASURED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for file, text in pictures().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    PAGE.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
