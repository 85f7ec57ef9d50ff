"""What ECR's scanner found in an image, in one line; that nobody looked is said as plainly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.aws.errors import DENIED, code, told

if TYPE_CHECKING:
    from pipeline.aws import Clients

NOT_SCANNED = "not scanned for vulnerabilities"
# Worst first, as ECR names them.
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED", "UNTRIAGED")
_DONE = frozenset({"COMPLETE", "ACTIVE"})


def findings(clients: Clients, repository: str, digest: str) -> str:
    """The number of findings by severity, or why there is none to tell."""
    from botocore.exceptions import ClientError

    with told(clients.target.name):
        try:
            found = clients.ecr.describe_image_scan_findings(
                repositoryName=repository, imageId={"imageDigest": digest}, maxResults=1
            )
        except ClientError as error:
            if code(error) == "ScanNotFoundException":
                return NOT_SCANNED
            if code(error) in DENIED:
                return "vulnerabilities not known: the role may not ask (ecr:DescribeImageScanFindings)"
            raise
    status = str(found.get("imageScanStatus", {}).get("status", ""))
    if status not in _DONE:
        return f"{NOT_SCANNED} ({status.lower().replace('_', ' ') or 'no status'})"
    counts = found.get("imageScanFindings", {}).get("findingSeverityCounts") or {}
    told_counts = [f"{counts[each]} {each.lower()}" for each in SEVERITIES if counts.get(each)]
    return f"vulnerabilities: {', '.join(told_counts)}" if told_counts else "scanned: no vulnerability found"
