"""What a deployment was made of, as `sha256sum` writes it: the subjects of the provenance attestation."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.plan import load
from pipeline.settings.model import Settings

FILE = "subjects.sha256"


def add(folder: Path, settings: Settings, plan: Path) -> None:
    """Add the plan that was applied, and the image it runs, by the digests they have."""
    found = load(plan)
    lines = [f"{hashlib.sha256(plan.read_bytes()).hexdigest()}  {plan.name}"]
    algorithm, _, digest = found.image.digest.partition(":")
    if algorithm == "sha256":
        account, region = settings.environment.account, settings.environment.region
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        lines.append(f"{digest}  {account}.dkr.ecr.{region}.{suffix}/{found.image.repository}")
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
