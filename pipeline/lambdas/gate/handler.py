"""Decides by named metrics of the held-out evaluation whether a model may go on. In doubt it may not.

Event: {"evaluation_uri": "s3://...", "not_before": ISO time, "rules": [{"metric", "minimum"?, "maximum"?,
"champion"?: terms of the comparison}], "champion"?: what find_champion found, and what became of its
evaluation}. A metric is looked up by name anywhere under the report's `*_metrics`; `setosa.recall` names a
nested one. A rule with `champion` also compares with the model that serves: see comparison.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

from . import comparison, evaluation, report, words
from .evaluation import Champion, Evaluation, EvaluationUnreadable
from .report import is_number, parse_time

# --- pure ---------------------------------------------------------------------------------------------------


def decide(
    rules: Sequence[Mapping[str, Any]], challenger: Evaluation, champion: Champion | None
) -> dict[str, Any]:
    """The verdict: approved only if every rule finds one finite number that is good enough.

    `results` holds the arithmetic of every rule, `explanation` the same in words, `summary` what fits into
    the metadata of a model package.
    """
    if challenger.why:
        return _refused(challenger.why)
    if not rules:
        return _refused("no rule was given, and without a rule nothing passes")
    results = [judge(rule, challenger, champion) for rule in rules]
    failed = [result["why"] for result in results if not result["passed"]]
    verdict = {
        "approved": not failed,
        "reason": words.reason("; ".join(failed or [result["why"] for result in results])),
        "metrics": {result["metric"]: result["value"] for result in results},
        "results": results,
        "champion": champion.as_dict() if champion else {"why": "", "package": "none", "report": ""},
        "summary": words.summary(results),
    }
    return {**verdict, "explanation": words.explain(verdict)}


def _refused(reason: str) -> dict[str, Any]:
    """A verdict without any metric read."""
    verdict = {
        "approved": False,
        "reason": words.reason(reason),
        "metrics": {},
        "results": [],
        "champion": {"why": "", "package": "none", "report": ""},
        "summary": "none",
    }
    return {**verdict, "explanation": words.explain(verdict)}


def judge(rule: Mapping[str, Any], challenger: Evaluation, champion: Champion | None) -> dict[str, Any]:
    """One rule's result. `value` is null unless it is a finite number: NaN is no JSON."""
    name = rule.get("metric")
    found = report.Metric(None)
    if isinstance(name, str) and name:
        found = challenger.metric(name)
    threshold = _threshold(rule, found)
    result = {
        "metric": str(name),
        "value": found.value,
        "bound": threshold["bound"],
        "threshold": threshold,
        "passed": threshold["passed"],
        "why": threshold["why"],
    }
    given = rule.get("champion")
    if given is None or found.value is None:
        return result
    compared = _compared(str(name), given, challenger, champion)
    failed = [part["why"] for part in (threshold, compared) if not part["passed"]]
    # `why` of a comparison begins with the value, or is a sentence of its own.
    both = [threshold["why"], compared["why"]]
    return {
        **result,
        "comparison": compared,
        "passed": not failed,
        "why": f"{name}: {', and '.join(failed or both)}",
    }


def _threshold(rule: Mapping[str, Any], found: report.Metric) -> dict[str, Any]:
    """Whether the value is within the rule's bounds."""
    name, minimum, maximum = rule.get("metric"), rule.get("minimum"), rule.get("maximum")
    bounds = [f"minimum {minimum}"] * (minimum is not None) + [f"maximum {maximum}"] * (maximum is not None)
    passed, value = False, found.value
    if not isinstance(name, str) or not name:
        why = f"the rule {json.dumps(dict(rule))} names no metric"
    elif not bounds or not all(is_number(bound) for bound in (minimum, maximum) if bound is not None):
        why = f"the rule for {name} has no bound that is a number"
    elif value is None:
        why = found.why
    elif minimum is not None and value < minimum:
        why = f"{name} {value:g} < minimum {minimum:g}"
    elif maximum is not None and value > maximum:
        why = f"{name} {value:g} > maximum {maximum:g}"
    else:
        passed, why = True, f"{name} {value:g} meets {' and '.join(bounds)}"
    return {"bound": ", ".join(bounds), "passed": passed, "why": why}


def _compared(
    name: str, given: Mapping[str, Any], challenger: Evaluation, champion: Champion | None
) -> dict[str, Any]:
    """The comparison of one metric with the champion's."""
    try:
        terms = comparison.Terms.read(given)
    except (TypeError, ValueError) as error:
        return {"passed": False, "why": str(error)}
    if champion is None:
        return comparison.unknown(terms, "nobody looked for one")
    if not champion.exists:
        return comparison.first(terms, champion.why)
    if champion.evaluation is None or champion.evaluation.why:
        return comparison.unknown(terms, champion.evaluation.why if champion.evaluation else champion.why)
    theirs = champion.evaluation.metric(name)
    if theirs.value is None:
        return comparison.unknown(terms, f"of the champion, {theirs.why}")
    return comparison.compare(
        terms,
        comparison.Side(challenger.metric(name), challenger.columns.get(name)),
        comparison.Side(theirs, champion.evaluation.columns.get(name)),
    )


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service)


def fetch(uri: str, limit: int) -> tuple[bytes, datetime]:
    """An object's bytes, one more than `limit` at most, and when it was written.

    Raises:
        EvaluationUnreadable: it cannot be read.
    """
    place = urlsplit(uri)
    if place.scheme != "s3" or not place.netloc or not place.path.strip("/"):
        raise EvaluationUnreadable(f"{uri!r} is not an S3 object")
    try:
        found = client("s3").get_object(Bucket=place.netloc, Key=place.path[1:])
        # One byte more than is judged, to know that there is more.
        return found["Body"].read(limit + 1), found["LastModified"]
    except ClientError as error:
        raise EvaluationUnreadable(f"{uri}: {error.response['Error']['Code']}") from error


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """The verdict. Raises EvaluationUnreadable when S3 does not give the challenger's report."""
    rules = event.get("rules") or []
    compared = [rule["metric"] for rule in rules if "metric" in rule and rule.get("champion") is not None]
    challenger = evaluation.read(event["evaluation_uri"], parse_time(event["not_before"]), fetch)
    champion = None
    if compared and isinstance(event.get("champion"), dict):
        champion = evaluation.champion(event["champion"], challenger, fetch)
        if champion.evaluation is not None:
            challenger, theirs = evaluation.paired(challenger, champion.evaluation, compared, fetch)
            champion = replace(champion, evaluation=theirs)
    verdict = decide(rules, challenger, champion)
    print(json.dumps({"event": "decided", "evaluation": event["evaluation_uri"], **verdict}))
    return verdict
