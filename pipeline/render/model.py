"""What rendering gives, and the one way it is written as JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any


def canonical(data: Any) -> str:
    """JSON with sorted keys and fixed separators: the same data is the same bytes everywhere."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True)
class LambdaPackage:
    """One function's code, or a Glue script's, addressed by its content."""

    name: str
    content: bytes
    suffix: str = ".zip"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def key(self) -> str:
        """Its place in the artifact bucket."""
        return f"code/{self.sha256}{self.suffix}"

    @property
    def path_or_bytes(self) -> bytes:
        return self.content


@dataclass(frozen=True)
class Rendered:
    """One pipeline in one environment: all that apply sends and check reads."""

    asl: dict[str, Any]
    template: dict[str, Any]
    lambdas: tuple[LambdaPackage, ...]
    scripts: tuple[LambdaPackage, ...] = ()
    # The second state machine, which [monitor] wants.
    monitor: dict[str, Any] | None = None
    # The source of the image, which [build] has the workflow build.
    context: LambdaPackage | None = None

    @property
    def code(self) -> tuple[LambdaPackage, ...]:
        """All that must be in the bucket before the template is applied."""
        return (*self.lambdas, *self.scripts, *([self.context] if self.context else []))

    @property
    def asl_json(self) -> str:
        return canonical(self.asl)

    @property
    def template_json(self) -> str:
        """Compact, as it is sent: CloudFormation takes 51,200 bytes without S3."""
        return canonical(self.template)

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(sorted(self.template.get("Parameters", {})))

    @property
    def digest(self) -> str:
        """sha256 over the state machine, the template and all code."""
        parts = [self.asl_json, self.template_json, *(package.key for package in self.code)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
