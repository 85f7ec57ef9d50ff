"""What the sections of the template are written from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.functions import FUNCTIONS, Function
from pipeline.names import Names
from pipeline.render.model import LambdaPackage, canonical

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

Resource = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """One pipeline in one environment, its state machine rendered and its functions packed."""

    settings: Settings
    names: Names
    asl: dict[str, Any]
    permissions: list[dict[str, Any]]
    lambdas: tuple[LambdaPackage, ...]
    # The second state machine, which [monitor] wants.
    monitor: dict[str, Any] | None = None

    @property
    def functions(self) -> list[Function]:
        """The functions that the state machines invoke."""
        return [FUNCTIONS[package.name] for package in self.lambdas]

    @property
    def tags(self) -> list[dict[str, str]]:
        """As most resource types want them."""
        return [{"Key": key, "Value": value} for key, value in sorted(self.names.tags.items())]

    @property
    def tag_map(self) -> dict[str, str]:
        """As AWS::SSM::Parameter wants them."""
        return dict(sorted(self.names.tags.items()))


def get(logical_id: str, attribute: str = "Arn") -> dict[str, Any]:
    return {"Fn::GetAtt": [logical_id, attribute]}


def ref(logical_id: str) -> dict[str, Any]:
    return {"Ref": logical_id}


def text(data: Any) -> str:
    """Data for an environment variable."""
    return canonical(data)
