"""A status report as text for a person."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipeline.cli import _output

GOOD = {"SUCCEEDED", "CREATE_COMPLETE", "UPDATE_COMPLETE", "InService", "Approved"}
BUSY = {"RUNNING", "Creating", "Updating", "SystemUpdating", "PendingManualApproval"}


def describe(report: dict[str, Any]) -> str:
    """One block a pipeline: stack, model, endpoint, runs, warnings."""
    where = f"{report['environment']}, target {report['target']}, {report['account']}/{report['region']}"
    rows = [("stack", report["stack"]["name"], _status(report["stack"]["status"])), _desired(report["drift"])]
    model, endpoint, serves = report["model"], report["endpoint"], report["serves"]
    rows.append(
        ("newest model", f"version {model['version']}", _registered(model))
        if model
        else ("newest model", "-", "none registered")
    )
    rows.append(
        ("endpoint", endpoint["name"], f"{_status(endpoint['status'])}, runs {endpoint['config']}")
        if endpoint
        else ("endpoint", "-", "none")
    )
    if endpoint:
        rows.append(
            ("serves", f"version {serves['version']}", _registered(serves))
            if serves
            else ("serves", "-", "no registered version")
        )
    lines = [f"{_output.paint(report['pipeline'], 'bold')} ({where})", _output.table(rows, indent="  ")]
    if report["executions"]:
        lines.append("  runs, newest first")
        lines.append(
            _output.table(
                [
                    (
                        run["name"],
                        _status(run["status"]) + (f" ({run['error']})" if run["error"] else ""),
                        _when(run["started"]),
                        _output.duration(run["seconds"]) if run["seconds"] is not None else "",
                    )
                    for run in report["executions"]
                ],
                indent="    ",
            )
        )
        newest = report["executions"][0]
        said = [newest["checked"], *newest["reuse"], newest["quality"], newest["rejected"]]
        lines += [f"    last run: {sentence}" for sentence in said if sentence]
    else:
        name = report["pipeline"]
        deployed = report["drift"] is not None
        lines.append("  never run: pipeline " + (f"run {name} --follow" if deployed else f"apply {name}"))
    if report["monitor"]:
        compared = report["monitor"]
        lines.append(f"  requests compared {_when(compared['started'])}: {compared['said']}")
    lines += [_output.paint(f"  ! {warning}", "yellow") for warning in report["warnings"]]
    return "\n".join(lines)


def _desired(drift: dict[str, Any] | None) -> tuple[str, str, str]:
    if drift is None:
        return ("desired", "-", "not deployed")
    return ("desired", "as deployed" if not drift["changes"] else f"{drift['changes']} changes", "")


def _registered(version: dict[str, Any]) -> str:
    data = f", data of {version['data_date']}" if version.get("data_date") else ""
    return f"{_status(version['approval'])}, {_when(version['created'])}{data}"


def _status(status: str) -> str:
    style = "green" if status in GOOD else "blue" if status in BUSY or "IN_PROGRESS" in status else "red"
    return _output.paint(status, "dim" if status == "not deployed" else style)


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
