"""What a comparison of requests with their baseline found, as plain data, by the arithmetic of drift.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common import drift

MEASURES = ("psi", "ks", "nulls", "new_categories", "missing_categories")
# Every measure is taken; what has no limit passes.
NO_LIMIT = 1e9


def nothing(found: Mapping[str, Any]) -> dict[str, Any]:
    """The report where nothing is concluded, since there are too few records."""
    return {**found, "enough": False, "features": {}, "drifted": [], "reasons": []}


def judged(
    found: Mapping[str, Any],
    baseline: Mapping[str, Any],
    current: Mapping[str, Mapping[str, Any]],
    limits: Mapping[str, Mapping[str, float]],
    first: Sequence[str] = (),
) -> dict[str, Any]:
    """The report.

    Args:
        found: package, since, until, minimum, requests, records, unreadable.
        baseline: `{"training": uri, "features": {name: column of a profile}}`.
        current: column of a profile by feature.
        limits: measure -> limit by feature.
        first: features whose baseline these requests are.

    Returns:
        `found` and `enough`, `features`: {name: {"kind", "judged", "why", "drifted", "measures", "baseline",
        "current"}}, `drifted`: names, `reasons`: a line for each limit that was passed.
    """
    known, minimum = baseline["features"], found["minimum"]
    features = {
        name: _feature(name, known.get(name), column, limits.get(name, {}), name in first, minimum)
        for name, column in sorted(current.items())
    }
    drifted = [name for name, feature in features.items() if feature["drifted"]]
    reasons = [
        measure["why"] for name in drifted for measure in features[name]["measures"] if not measure["passed"]
    ]
    return {
        **found,
        "enough": any(feature["judged"] for feature in features.values()) or bool(first),
        "training": baseline.get("training", ""),
        "features": features,
        "drifted": drifted,
        "reasons": reasons,
    }


def _feature(
    name: str, was: Any, now: Mapping[str, Any], limits: Mapping[str, float], first: bool, minimum: int
) -> dict[str, Any]:
    answer = {"kind": now["kind"], "current": now, "baseline": was, "drifted": False, "measures": []}
    values = now["count"] + now["nulls"]
    if values < minimum:
        return {**answer, "judged": False, "why": f"{values} values, of {minimum} that it takes"}
    if first or was is None:
        return {**answer, "judged": False, "why": "these requests are its baseline"}
    measures = list(_measures(name, was, now, limits))
    drifted = any(not measure["passed"] for measure in measures)
    return {**answer, "judged": True, "why": "", "measures": measures, "drifted": drifted}


def _measures(name: str, was: Any, now: Any, limits: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    every = {measure: limits.get(measure, NO_LIMIT) for measure in MEASURES}
    for result in drift.compare({"columns": {name: was}}, {"columns": {name: now}}, every):
        known = result["limit"] != NO_LIMIT
        yield {
            "measure": result["measure"],
            "value": result["value"],
            "limit": result["limit"] if known else None,
            "passed": result["passed"],
            "why": result["why"] if known else "",
        }


def told(report: Mapping[str, Any]) -> Iterator[str]:
    """The report in lines."""
    if not report["enough"]:
        yield f"too few requests: {report['records']} records, of {report['minimum']} that it takes"
        return
    for name, feature in report["features"].items():
        said = ", ".join(f"{m['measure']} {m['value']:.3f}" for m in feature["measures"]) or feature["why"]
        yield f"{'DRIFT' if feature['drifted'] else 'ok   '} {name}: {said}"
