"""Findings as people, scripts, code scanning (SARIF 2.1.0) and GitHub's annotations read them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from pipeline import __version__
from pipeline.check.rule import Finding
from pipeline.check.runner import Result


def counts(results: Sequence[Result]) -> tuple[int, int]:
    """How many errors and warnings."""
    every = [finding for result in results for finding in result.findings]
    errors = sum(finding.severity == "error" for finding in every)
    return errors, len(every) - errors


def human(results: Sequence[Result]) -> str:
    """One block a finding: where, what, how to mend it; and one line a pipeline."""
    lines: list[str] = []
    for result in results:
        for f in result.findings:
            where = f"{f.file}:{f.line}" if f.line else f.file
            lines += [f"{where}: {f.severity} {f.rule} at {f.place}", f"    {f.message}", f"    fix: {f.fix}"]
        errors, warnings = counts([result])
        said = f"{errors} errors, {warnings} warnings" if errors or warnings else "clean"
        known = ", unchanged since the last check" if result.cached else f", {result.seconds:.1f} s"
        lines.append(f"{result.pipeline} in {result.environment}: {said}{known}")
    return "\n".join(lines)


def as_json(results: Sequence[Result]) -> str:
    """Everything, for scripts."""
    errors, warnings = counts(results)
    return json.dumps(
        {
            "errors": errors,
            "warnings": warnings,
            "checked": [
                {
                    "pipeline": r.pipeline,
                    "environment": r.environment,
                    "seconds": round(r.seconds, 3),
                    "cached": r.cached,
                }
                for r in results
            ],
            "findings": [finding.as_dict() for result in results for finding in result.findings],
        },
        indent=2,
        ensure_ascii=False,
    )


def github(results: Sequence[Result]) -> str:
    """Workflow commands, which GitHub shows beside the changed line."""
    lines = []
    for finding in (finding for result in results for finding in result.findings):
        properties = {"file": finding.file, "line": str(finding.line or 1), "title": finding.rule}
        written = ",".join(f"{key}={_escape(value, property=True)}" for key, value in properties.items())
        text = _escape(f"{finding.place}: {finding.message}\nfix: {finding.fix}")
        lines.append(f"::{finding.severity} {written}::{text}")
    return "\n".join(lines)


def _escape(text: str, *, property: bool = False) -> str:
    for char, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(char, code)
    if property:
        text = text.replace(":", "%3A").replace(",", "%2C")
    return text


def sarif(results: Sequence[Result]) -> str:
    """SARIF 2.1.0, as code scanning takes it."""
    from pipeline.check.registry import listed

    known = listed()
    index = {rule.id: position for position, rule in enumerate(known)}
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {
                        "driver": {
                            "name": "pipeline check",
                            "version": __version__,
                            "rules": [
                                {
                                    "id": rule.id,
                                    "shortDescription": {"text": rule.reason},
                                    "helpUri": rule.source,
                                    "defaultConfiguration": {"level": rule.severity},
                                }
                                for rule in known
                            ],
                        }
                    },
                    "columnKind": "unicodeCodePoints",
                    "results": [_sarif_result(f, index) for result in results for f in result.findings],
                }
            ],
        },
        indent=2,
        ensure_ascii=False,
    )


def _sarif_result(finding: Finding, index: dict[str, int]) -> dict[str, Any]:
    identity = f"{finding.rule}|{finding.pipeline}|{finding.environment}|{finding.place}|{finding.message}"
    location: dict[str, Any] = {"artifactLocation": {"uri": finding.file, "uriBaseId": "%SRCROOT%"}}
    if finding.line:
        location["region"] = {"startLine": finding.line}
    return {
        "ruleId": finding.rule,
        "ruleIndex": index[finding.rule],
        "level": finding.severity,
        "message": {"text": f"{finding.message} (fix: {finding.fix})"},
        "locations": [
            {
                "physicalLocation": location,
                "logicalLocations": [
                    {"fullyQualifiedName": f"{finding.pipeline}.{finding.environment}.{finding.place}"}
                ],
            }
        ],
        "partialFingerprints": {"finding/v1": hashlib.sha256(identity.encode()).hexdigest()[:32]},
    }
